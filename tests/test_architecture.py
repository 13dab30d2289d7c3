"""docs/architecture.md against the code that it describes."""

import importlib
import re

from conftest import ROOT
from test_light import LIGHT, ROOMS

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_table_of_packages_is_that_of_the_imports():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (yes)? ?\| \S", PAGE, re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", imports)) for name, imports, _ in rows} == ROOMS
    assert {name for name, _, light in rows if light} == LIGHT


def test_what_is_named_exists():
    names = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", PAGE))
    assert len(names) > 15
    for name in names - {"checkpoints/", "events/", "pictures/"}:
        assert (ROOT / name).exists() or (ROOT / "shiftnet_tf" / name).exists() or name == "benchmarks/", name
    dotted = set(re.findall(r"`(?:shiftnet_tf\.)?((?:[a-z]\w*\.)+\w+)`", PAGE)) - {"spec.json"}
    assert len(dotted) > 15
    for name in dotted:
        if not re.search(r"\.(py|toml|json|csv|txt|h5)$", name):
            find(name)


def find(name):
    """The object of a dotted name below shiftnet_tf; AttributeError or ImportError where there is none."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module("shiftnet_tf." + ".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def test_the_run_folder_is_listed_whole(small_run):
    listed = set(re.findall(r"`([\w.]+)/?`", PAGE[PAGE.index("**Run folder**") : PAGE.index("It holds all of a run")]))
    assert {path.name for path in small_run.iterdir()} <= listed
