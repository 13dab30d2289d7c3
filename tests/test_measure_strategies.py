"""The script that measures the strategies against each other."""

import csv
import shutil

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says

from shiftnet_tf import artifact


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
    model = next(artifact.default_model().glob("*.tflite"))
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
