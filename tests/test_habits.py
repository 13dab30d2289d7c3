"""The files around the code: metadata, CONTRIBUTING, CHANGELOG, citation, CI and issue templates."""

import re
import tomllib

import pytest
import yaml
from conftest import ROOT

from shiftnet_tf import __version__

YAML = [".pre-commit-config.yaml", "CITATION.cff", ".github/workflows/ci.yml"]
YAML += [f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("bug", "feature", "config")]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
TEXTS = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
FOLDERS = ["docs", "saved_models", "training", "export", "benchmarks", "deploy"]


def load(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


@pytest.mark.parametrize("name", YAML)
def test_yaml_parses(name):
    assert isinstance(load(name), dict)


def test_the_citation_names_the_paper_and_this_version():
    citation = load("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == __version__
    paper = citation["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Yan", "Li", "Li", "Zuo", "Shan"]
    assert paper["url"].endswith("1801.09392")


def test_every_image_and_wheel_that_is_named_has_this_version():
    files = [*(ROOT / "deploy").iterdir(), *(ROOT / "docs").glob("*.md")]
    named = re.compile(r"shiftnet(?:_tf-|:)(\d+\.[\d.]*\d)")
    found = [version for path in files for version in named.findall(path.read_text("utf-8"))]
    assert set(found) == {__version__} and len(found) >= 11


def test_ci_runs_the_script_and_hooks_are_local():
    steps = load(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    hooks = load(".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    for hook in hooks[0]["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in lint, hook["id"]


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_templates_ask_for_the_doctors_page(name):
    fields = load(f".github/ISSUE_TEMPLATE/{name}.yml")["body"]
    assert "shiftnet doctor" in next(field for field in fields if field.get("id") == "doctor")["attributes"]["label"]


def test_every_command_of_contributing_exists():
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", CONTRIBUTING, re.DOTALL))
    targets = set(re.findall(r"\bmake ([a-z-]+)", blocks)) | set(re.findall(r"`make ([a-z-]+)`", CONTRIBUTING))
    makefile = (ROOT / "Makefile").read_text()
    assert {"lint", "test", "docs"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for script in re.findall(r"python ((?:\w+/)+\w+\.py)", CONTRIBUTING):
        assert (ROOT / script).is_file(), script


def test_every_path_and_name_in_contributing_exists():
    paths = re.findall(r"`((?:[\w.]+/)+[\w.]*)`", CONTRIBUTING)
    assert len(paths) > 15
    for path in set(paths) - {"site/"}:
        assert (ROOT / path).exists(), path
    for name, path in re.findall(r"`([A-Z]{2,})`\s+in\s+`([\w/.]+\.py)`", CONTRIBUTING):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.MULTILINE), (name, path)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text("utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_no_placeholder_is_left_in_a_text():
    texts = [*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
    assert ROOT / "saved_models" / "compact" / "README.md" in texts
    assert [path for path in texts if re.search(r"^@\w+@$|\bTODO\b|\bTBD\b", path.read_text("utf-8"), re.M)] == []


def test_the_changelog_has_known_headings():
    headings = re.findall(r"^#+ (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[:2] == ["Changelog", "[Unreleased]"]
    known = r"Added|Changed|Deprecated|Removed|Fixed|Security|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d"
    assert all(re.fullmatch(known, heading) for heading in headings[2:])


def test_metadata_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    setup = (ROOT / "setup.py").read_text("utf-8")
    assert project["scripts"] == {"shiftnet": "shiftnet_tf.cli:main"}
    for name in ("name", "description", "license", "version", "entry_points", "python_requires", "package_data"):
        assert f"    {name}=" not in setup, name
