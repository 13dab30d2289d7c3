"""The end of a command: signals, and standard streams that are closed or absent."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import MASK, PHOTOS, ROOT
from PIL import Image

from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command

PHOTO = PHOTOS / "test" / "gc_farm_sheep.jpg"
WRITER = """
import sys, time
from pathlib import Path
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command

def write(part):
    part.write_text("half")
    print("begun", flush=True)
    time.sleep(60)

raise SystemExit(command(lambda arguments: write_atomically(sys.argv[1], write))())
"""
LIBRARY = """
import os, sys
from shiftnet_tf.system.command import command
from shiftnet_tf.system.quiet import quiet_start

def main(arguments):
    with open(sys.argv[1], "w") as photo, quiet_start():
        os.write(1, b"a library")
        os.write(2, b"a library")
        print("a note", file=sys.stderr)
        print("an answer")
        photo.write("photo")
    if sys.argv[2:]:
        raise OSError("bad")

raise SystemExit(command(main)())
"""


@pytest.fixture
def writer(tmp_path):
    """A command that is writing `tmp_path / "out.jpg"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "out.jpg")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_no_temporary_file(writer, tmp_path, number, code):
    writer.send_signal(number)
    assert writer.communicate(timeout=20)[1] == "stopped\n" and writer.returncode == code
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_leaves_is_removed_by_the_next_and_not_before(writer, tmp_path):
    [part] = tmp_path.iterdir()
    code = f"from shiftnet_tf.system.atomic import write_atomically\nwrite_atomically({str(tmp_path / 'a.txt')!r}, "
    code += "lambda part: part.write_text('a'))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert part.exists()
    writer.kill()
    writer.wait()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_signals_that_somebody_else_takes_are_left_to_them():
    taken = []
    before = signal.signal(signal.SIGTERM, lambda *_: taken.append(1))
    try:
        assert command(lambda arguments: os.kill(os.getpid(), signal.SIGTERM))() == 0 and taken == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert command(lambda arguments: taken.append(signal.getsignal(signal.SIGTERM)))() == 0
    assert taken[1] is not before and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("closed, printed", [("2>&-", "an answer\n"), ("<&- >&- 2>&-", "")])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_written_into_a_file_that_has_the_number_of_a_closed_stream(tmp_path, closed, printed, fails):
    arguments = [tmp_path / "photo", *["x"] * fails]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", LIBRARY, *arguments]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == (2 if fails else 0)
    assert (tmp_path / "photo").read_text() == "photo" and done.stdout.replace("a library", "") == printed


def test_streams_that_are_none(tmp_path, monkeypatch):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.jpg").symlink_to(PHOTO)
    for arguments, code in (
        ([str(photos), "-o", str(out)], 0),
        ([str(PHOTO), "-o", str(tmp_path / "out.png")], 0),
        ([str(tmp_path / "absent.png"), "-o", str(tmp_path / "out.png")], 2),
    ):
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        options = ["--mask", str(MASK), "--runtime", "litert", "--detail", "model"]
        assert main(["inpaint", *arguments, *options]) == code
    assert Image.open(out / "a.jpg").size == Image.open(tmp_path / "out.png").size == (530, 384)


def test_an_error_without_a_stderr_is_no_result(monkeypatch, capsys):
    def fail(arguments):
        raise InputError("bad")

    monkeypatch.setattr(sys, "stderr", None)
    assert command(fail)() == 2 and capsys.readouterr().out == ""


def test_no_stream_is_replaced_that_is_there(capsys):
    assert command(lambda arguments: print("an answer"))() == 0
    assert capsys.readouterr().out == "an answer\n"


@pytest.mark.slow
def test_the_command_with_all_streams_closed(tmp_path):
    """The photo has the bytes of a run with streams."""
    run = [sys.executable, "-m", "shiftnet_tf", "inpaint", str(PHOTO), "--mask", str(MASK)]
    run += ["--runtime", "litert", "--detail", "model", "-o"]
    subprocess.run([*run, str(tmp_path / "a.png")], check=True, capture_output=True, cwd=ROOT)
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *run, str(tmp_path / "b.png")]
    assert subprocess.run(shell, cwd=ROOT).returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_folder_for_temporary_files(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "absent")])
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    assert main(["inpaint", str(PHOTO), "--mask", str(MASK), "-o", str(tmp_path / "a.png"), "--detail", "model"]) == 0
    write_atomically(tmp_path / "a.txt", lambda part: part.write_text("a"))
