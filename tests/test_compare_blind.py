"""The script that draws pairs for a blind comparison and counts the answers."""

import itertools
import json
import shutil

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says

from shiftnet_tf import model_folder
from shiftnet_tf.photos import image_files


@pytest.fixture(scope="module")
def script():
    return load_script("training/compare_blind")


def test_pairs_are_drawn_with_their_key(script, tmp_path, monkeypatch):
    for folder, name in (
        ("centers", "gc_petra.jpg"),
        ("removals", "gc_farm_sheep.jpg"),
        ("removals", "gc_kingfisher.jpg"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(PHOTOS / "test" / name, tmp_path / folder)
    everything = script.read_removals
    monkeypatch.setattr(script, "read_removals", lambda *where: itertools.islice(everything(*where), 1))
    monkeypatch.setattr(script.baselines, "baseline", lambda name: lambda image, mask: np.full_like(image, 9))
    arguments = ["draw", str(model_folder.default_model()), "--centers", str(tmp_path / "centers")]
    arguments += ["--removals", str(tmp_path / "removals"), "--out", str(tmp_path / "out")]
    assert script.main(arguments) == 0
    key = json.loads((tmp_path / "out" / "key.json").read_text())
    assert [entry["name"] for entry in key] == ["gc_petra.jpg", "sheep in gc_farm_sheep.jpg"]
    for entry in key:
        theirs = "B" if entry["ours"] == "A" else "A"
        picture = {s: image_files.read_image(tmp_path / "out" / f"{entry['number']:02d}_{s}.png") for s in ("A", "B")}
        assert (picture[theirs] == 9).all() and picture[entry["ours"]].std() > 9
    assert image_files.read_image(tmp_path / "out" / "sheet.jpg").shape == (178, 6 * 154 - 4, 3)


def test_answers_are_counted(script, tmp_path, capsys):
    key = [{"number": n, "part": script.PARTS[n > 2], "name": str(n), "ours": "AB"[n % 2]} for n in (1, 2, 3)]
    (tmp_path / "key.json").write_text(json.dumps(key))
    (tmp_path / "one.csv").write_text("1,B\n2,=\n3,A\n")
    (tmp_path / "two.csv").write_text("1,B\n2,B\n3,B\n")
    arguments = ["count", str(tmp_path / "key.json"), str(tmp_path / "one.csv"), str(tmp_path / "two.csv")]
    assert script.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "centre holes: 2 preferred, 1 equal, 1 not preferred of 4",
        "removals: 1 preferred, 0 equal, 1 not preferred of 2",
        "all: 3 preferred, 1 equal, 2 not preferred of 6",
    ]
    for content, words in (("4,A\n", "the number of a pair"), ("1,C\n", "A, B or ="), ("1\n", "NUMBER,A")):
        (tmp_path / "one.csv").write_text(content)
        says(capsys, 2, words, script.main(arguments))


def test_a_photo_that_is_missing_is_named(script, tmp_path, capsys):
    arguments = ["draw", str(model_folder.default_model()), "--removals", str(tmp_path), "--out", str(tmp_path / "out")]
    says(capsys, 2, "no photo named gc_farm_sheep.jpg in", script.main(arguments))
    says(capsys, 2, "nothing to draw", script.main([*arguments[:2], "--out", str(tmp_path / "out")]))


def test_the_outlines_lie_within_their_photos(script):
    things = json.loads((script.Path(script.__file__).parent / "removals.json").read_text("utf-8"))
    assert len(things) == 16 and all(thing["author"] and thing["licence"] for thing in things)
    for thing in things:
        points = np.array(thing["points"])
        assert points.shape[1] == 2 and len(points) >= 8 and points.min() >= 0 and points.max() <= 1
