"""Files that are whole or not there: symbolic links, modes, and what killed processes leave."""

import os
import stat
import subprocess
import sys
import time

import pytest
from conftest import MASK, PHOTOS

from shiftnet_tf import inpaint_file, inpaint_folder
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError
from shiftnet_tf.system import atomic
from shiftnet_tf.system.atomic import is_leftover, remove_leftovers, temporary_path, write_atomically

PHOTO = PHOTOS / "test" / "gc_farm_sheep.jpg"


def write(path, text="new"):
    write_atomically(path, lambda part: part.write_text(text))


def test_a_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "store").mkdir()
    target, link, second = tmp_path / "store" / "target.txt", tmp_path / "link.txt", tmp_path / "second.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("store/target.txt")
    second.symlink_to(link)
    write(second)
    assert second.is_symlink() and link.is_symlink() and not target.is_symlink()
    assert target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link.txt", "second.txt", "store", "target.txt"]


def test_links_to_nowhere_are_refused_before_the_work(tmp_path):
    """As `cp` refuses them."""
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, message in (
        ("dangling.png", r"dangling.png: it is a symbolic link to .*nowhere.png, which does not exist"),
        ("loop.png", "loop.png: Too many levels of symbolic links"),
    ):
        with pytest.raises(InputError, match=message):
            write(tmp_path / name)
        with pytest.raises(InputError, match=message):
            inpaint_file(None, PHOTO, MASK, tmp_path / name)
        with pytest.raises(InputError, match=message):
            inpaint_file(None, PHOTO, MASK, tmp_path / "a.png", shift_map=tmp_path / name)
    with pytest.raises(InputError, match="the mask does not exist"):
        inpaint_file(None, PHOTO, tmp_path / "loop.png", tmp_path / "a.png")
    for photos, out, message in (
        (PHOTO.parent, tmp_path / "loop.png", "Too many levels"),
        (PHOTO.parent, tmp_path / "dangling.png", "it is a symbolic link to"),
        (tmp_path / "loop.png", tmp_path / "out", "the photo folder does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            inpaint_folder(None, photos, MASK, out)
    assert sorted(os.listdir(tmp_path)) == ["dangling.png", "loop.png"]


def test_a_photo_is_written_through_a_link(tmp_path):
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    assert main(["inpaint", str(PHOTO), "--mask", str(MASK), "-o", str(link), "--detail", "model"]) == 0
    assert link.is_symlink() and target.read_bytes()[:4] == b"\x89PNG" and stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_is_left_over_and_what_may_be_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = temporary_path(tmp_path, ".jpg")
    table = mine.name.split("-")[1]
    names = {
        f".shiftnet-{table}-{dead.pid}-01234567.jpg": False,  # stays?
        f".shiftnet-{table}-{dead.pid}-01234567": False,
        f".shiftnet-{table}-{dead.pid}-01234567.room": False,
        mine.name: True,  # of a process that runs
        f".shiftnet-{table}-1-01234567.jpg": True,
        f".shiftnet-{table}-{10**30}-01234567.jpg": True,
        f".shiftnet-76543210-{dead.pid}-01234567.jpg": True,  # of another machine or container
        f".shiftnet-00000000-{dead.pid}-01234567.jpg": True,  # of an unknown one
        ".shiftnet-settings": True,  # of somebody else
        ".0123abcd.jpg": True,  # likewise
    }
    for name in names:
        (tmp_path / name).write_text("x")
    others = [".0123abcd.jpg", ".shiftnet-settings"]
    assert [name for name in names if not is_leftover(tmp_path / name)] == others[::-1]
    (tmp_path / f".shiftnet-{table}-{dead.pid}-76543210").mkdir()  # of an export
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(name for name, stays in names.items() if stays)
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == others
    remove_leftovers(tmp_path / "absent")


def test_where_the_system_does_not_tell_only_age_counts(tmp_path, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setattr(atomic, "_process_table", lambda: "00000000")
    path = tmp_path / f".shiftnet-00000000-{dead.pid}-01234567.jpg"
    path.write_text("x")
    remove_leftovers(tmp_path)
    assert path.exists()


def test_room_is_asked_for_under_a_name_that_can_be_removed(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: seen.extend(tmp_path.iterdir()))
    atomic.check_room(tmp_path, 10, "a test")
    assert [atomic._TEMPORARY.fullmatch(path.name) is not None for path in seen] == [True] and not os.listdir(tmp_path)
