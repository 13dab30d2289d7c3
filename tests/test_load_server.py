"""The load test of the server: each client gets its own picture, and HTTP costs little."""

import json

import pytest
from conftest import load_script, says


@pytest.fixture(scope="module")
def main():
    pytest.importorskip("fastapi")
    return load_script("export/load_server").main


@pytest.mark.slow
def test_a_small_load(main, tmp_path, capsys):
    arguments = ["--requests", "12", "--clients", "4", "--rounds", "1", "--json", str(tmp_path / "load.json")]
    assert main(arguments) == 0
    assert "12 answered with\ntheir own picture, byte for byte, 0 not" in capsys.readouterr().out
    measured = json.loads((tmp_path / "load.json").read_text())
    assert measured["wrong"] == 0 and min(measured["rates"].values()) > 0.5
    assert main([*arguments, "--least", "1000"]) == 1  # the check can fail


def test_what_is_refused(main, capsys):
    says(capsys, 2, "`--clients` must be from 1 to 100000. Received: 0", main(["--clients", "0"]))
    says(capsys, 2, "the model does not exist: nowhere", main(["--model", "nowhere"]))


@pytest.mark.long
def test_a_thousand_requests_by_sixteen_clients(main):
    assert main(["--least", "0.8", "--rounds", "1"]) == 0
