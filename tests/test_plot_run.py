"""plot_run.py as a person runs it."""

import shutil

import pytest
from conftest import load_script, says
from PIL import Image

from shiftnet_tf.run_folder import Run


@pytest.fixture(scope="module")
def script():
    return load_script("training/plot_run")


def test_the_curves_of_a_run(script, small_run, tmp_path, capsys, monkeypatch):
    drawn = {}
    original = script.draw
    monkeypatch.setattr(script, "draw", lambda columns, *rest: (drawn.update(columns), original(columns, *rest)))
    assert script.main([str(small_run), "--out", str(tmp_path / "new" / "curves.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'curves.png'}\n"
    assert drawn["epoch"] == [1, 2] and {"loss", "guidance_loss", "val_hole_psnr"} <= set(drawn)
    with Image.open(tmp_path / "new" / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width == 1500
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50  # more than an empty sheet


def test_bad_input_is_one_sentence(script, small_run, tmp_path, capsys):
    run = Run.create(tmp_path / "run", Run.open(small_run).config)
    says(capsys, 2, "the run has no metrics.csv yet", script.main([str(run.path)]))
    run.metrics.write_text("epoch,loss\n")
    says(capsys, 2, "no epoch of this run is complete yet", script.main([str(run.path)]))
    run.metrics.write_text("epoch,loss\n0,much\n")
    says(capsys, 2, "is damaged", script.main([str(run.path)]))
    run.metrics.write_bytes(b"epoch,loss\n0,\xff\n")
    says(capsys, 2, "is damaged", script.main([str(run.path)]))
    run.metrics.write_text("loss\n1\n")
    says(capsys, 2, "it must have the columns epoch and loss", script.main([str(run.path)]))
    shutil.copy(small_run / "metrics.csv", run.metrics)
    says(capsys, 2, "--out must end in .png", script.main([str(run.path), "--out", str(tmp_path / "curves.jpg")]))
    says(capsys, 2, "not a run folder", script.main([str(tmp_path / "absent")]))
