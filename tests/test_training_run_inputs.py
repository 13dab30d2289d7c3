"""What a run folder keeps of the photos, masks and seed that it began with, and what is said when they change."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from shiftnet_tf.errors import InputError
from shiftnet_tf.training import run_inputs

DIFFERS = "the resumed run differs from an undisturbed one"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "nested").mkdir(parents=True)
    paths = [folder / "b.jpg", folder / "a.jpg", folder / "nested" / "a.jpg"]
    for i, path in enumerate(paths):
        path.write_bytes(b"x" * (10 + i))
    return paths


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def summary(photos, seed=0, masks=()):
    return run_inputs.summarize(seed, {"photos": photos, "masks": masks})


def test_the_file_holds_counts_digests_and_the_seed(photos, run):
    run_inputs.write(run, summary(photos, seed=7))
    listing = b"a.jpg\x0011\x00b.jpg\x0010\x00nested/a.jpg\x0012\x00"
    assert json.loads((run / "inputs.json").read_text()) == {
        "seed": 7,
        "files": {
            "photos": {"count": 3, "sha256": hashlib.sha256(listing).hexdigest()},
            "masks": {"count": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        },
    }
    assert [path.name for path in run.iterdir()] == ["inputs.json"]


def test_nothing_is_said_where_nothing_changed(photos, run, tmp_path, monkeypatch):
    run_inputs.write(run, summary(photos))
    assert run_inputs.changes(run, summary(photos[::-1])) == []  # the order does not count
    monkeypatch.chdir(tmp_path)
    assert run_inputs.changes(str(run), summary([str(path.relative_to(tmp_path)) for path in photos])) == []
    photos[0].parent.rename(tmp_path / "moved")
    moved = [tmp_path / "moved" / path.relative_to(photos[0].parent) for path in photos]
    assert run_inputs.changes(run, summary(moved)) == []


def test_each_change_is_one_sentence(photos, run):
    run_inputs.write(run, summary(photos, masks=photos[:1]))
    assert run_inputs.changes(run, summary(photos[:2], seed=1)) == [
        f"photos changed since the run began: 3 then, 2 now; {DIFFERS}",
        f"masks changed since the run began: 1 then, 0 now; {DIFFERS}",
        f"seed changed since the run began: 0 then, 1 now; {DIFFERS}",
    ]


@pytest.mark.parametrize("change", ["size", "name", "folder"])
def test_other_files_of_the_same_number_are_noticed(photos, run, change):
    run_inputs.write(run, summary(photos))
    if change == "size":
        photos[1].write_bytes(b"other")
    elif change == "name":
        photos[1] = photos[1].rename(photos[1].with_name("c.jpg"))
    else:
        photos[2].parent.rename(photos[2].parent.with_name("other"))
        photos[2] = photos[2].parent.with_name("other") / photos[2].name
    assert run_inputs.changes(run, summary(photos)) == [
        f"photos changed since the run began: 3 then and now, but with other names or sizes; {DIFFERS}"
    ]


def test_an_older_run_folder_says_nothing(photos, run):
    assert run_inputs.changes(run, summary(photos)) == []
    run_inputs.write(run, run_inputs.summarize(0, {"photos": photos}))
    assert run_inputs.changes(run, summary(photos, masks=photos)) == []  # written before masks were listed


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"seed": 0}', b'{"seed": 0, "files": {"photos": 3}}'])
def test_a_damaged_file_is_said_and_stops_nothing(photos, run, content):
    (run / "inputs.json").write_bytes(content)
    (sentence,) = run_inputs.changes(run, summary(photos))
    assert sentence.startswith(f"cannot read {run / 'inputs.json'} (") and "\n" not in sentence
    assert sentence.endswith("): changes of photos, masks or seed since the run began are not detected")


def test_a_file_that_is_gone_is_named(photos):
    photos[1].unlink()
    with pytest.raises(InputError, match=r"cannot read the size of .*a\.jpg: No such file"):
        summary(photos)


def test_names_that_are_no_utf_8(photos, run):
    odd = os.fsdecode(os.fsencode(photos[0].parent) + b"/\xff.jpg")
    try:
        open(odd, "wb").close()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    run_inputs.write(run, summary([odd, *photos]))
    assert run_inputs.changes(run, summary([odd, *photos])) == []


def test_it_needs_no_other_package():
    code = (
        "import sys, shiftnet_tf.training.run_inputs; print({'tensorflow', 'keras', 'numpy', 'PIL'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
