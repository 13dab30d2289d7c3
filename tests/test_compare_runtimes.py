"""The picture that `make demo` leaves."""

from conftest import MASK, PHOTOS, load_script
from PIL import Image


def test_the_picture_and_the_differences(small_model, tmp_path, capsys):
    main = load_script("export/compare_runtimes").main
    arguments = [str(small_model), str(PHOTOS / "test" / "gc_farm_sheep.jpg"), "--mask", str(MASK)]
    assert main([*arguments, "--out", str(tmp_path / "picture.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "picture.png") and len(lines) == 3
    assert all("0 % of values off by more than 1" in line for line in lines[:2])
    assert Image.open(tmp_path / "picture.png").size == (3 * 530 + 16, 2 * (384 + 28) + 8)


def test_an_empty_mask_has_nothing_to_compare(small_model, tmp_path, capsys):
    Image.new("L", (530, 384)).save(tmp_path / "empty.png")
    main = load_script("export/compare_runtimes").main
    arguments = [str(small_model), str(PHOTOS / "test" / "gc_farm_sheep.jpg"), "--mask", str(tmp_path / "empty.png")]
    assert main([*arguments, "--out", str(tmp_path / "picture.png")]) == 2
    assert "nothing to compare" in capsys.readouterr().err and not (tmp_path / "picture.png").exists()
