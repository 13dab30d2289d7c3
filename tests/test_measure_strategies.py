"""The script that measures the strategies against each other."""

import csv
import shutil

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says
from PIL import Image

from shiftnet_tf import model_folder


@pytest.fixture(scope="module")
def script():
    return load_script("training/measure_strategies")


def test_holes_have_the_share_that_was_asked_for(script):
    for kind, (draw, shares) in script.HOLES.items():
        for share in shares:
            mask = draw((500, 700), share, np.random.default_rng(1))
            assert mask.shape == (500, 700) and 0.7 * share <= mask.mean() <= share + 0.13, (kind, share)


@pytest.mark.slow
def test_a_photo_is_measured_with_each_strategy(script, tmp_path, capsys, monkeypatch):
    (tmp_path / "photos").mkdir()
    shutil.copy(PHOTOS / "test" / "gc_farm_sheep.jpg", tmp_path / "photos")
    monkeypatch.setattr(script, "HOLES", {"box": (script.box, (0.02, 0.1))})
    model = next(model_folder.default_model().glob("*.tflite"))
    arguments = [str(model), "--images", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--holes", "1"]
    assert script.main(arguments) == 0
    with open(tmp_path / "out" / "rows.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [*script.STRATEGIES] * 2
    assert all(8 < float(row["hole_psnr"]) < 60 for row in rows)
    auto, *three = (float(row["hole_psnr"]) for row in rows[:4])
    assert any(abs(auto - other) < 1e-9 for other in three)  # one hole: it took one of them
    assert (tmp_path / "out" / "table.md").read_text() in capsys.readouterr().out
    says(capsys, 2, "no photo", script.main([str(model), "--images", str(tmp_path / "out"), "--out", str(tmp_path)]))


def test_ways_to_the_detail_are_compared(script, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((265, 192)).save(tmp_path / "photos" / "a.png")
    monkeypatch.setattr(script, "HOLES", {"box": (script.box, (0.02,)), "lines": (script.lines, (0.001,))})
    monkeypatch.setattr(script, "deep_distance", lambda image, filled, mask: 0.5)
    model = next(model_folder.default_model().glob("*.tflite"))
    arguments = [str(model), "--compare", "detail", "--images", str(tmp_path / "photos"), "--holes", "1"]
    assert script.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "rows.csv") as file:
        rows = {(row["hole"], row["method"]): row for row in csv.DictReader(file)}
    assert [method for hole, method in rows if hole == "box"] == [
        "model",
        "shift map",
        "no guide",
        "auto",
        "patchmatch",
    ]
    texture = {place: float(row["texture_distance"]) for place, row in rows.items()}
    assert texture["box", "auto"] == texture["box", "shift map"] != texture["box", "model"]
    assert texture["lines", "auto"] == texture["lines", "model"]  # too narrow to copy
    assert "| box | 2 % | " in (tmp_path / "out" / "table.md").read_text()
