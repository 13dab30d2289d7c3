"""The OpenAPI description against a running server, by schemathesis: what is described is what is answered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_server import Server

pytest.importorskip("schemathesis")


@pytest.mark.long
def test_the_server_answers_as_its_description_says():
    server = Server("--token", "sesame", "--max-bytes", "2")
    command = [Path(sys.executable).parent / "schemathesis", "run", f"http://{server.address}/openapi.json"]
    command += ["-H", "Authorization: Bearer sesame", "--checks", "all", "--max-examples", "100", "--seed", "1"]
    command += ["--continue-on-failure", "--suppress-health-check", "all", "--no-color"]
    command += ["--exclude-checks", "positive_data_acceptance"]  # no schema says which bytes are a photo and its mask
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(ROOT / "tests" / "schemathesis_hooks.py")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.stop() == 0
    for path in ("/v1/inpaint", "/v1/shift-map"):
        assert {" 200 ", " 401 ", " 422 "} <= {
            line.split(path)[1][:5] for line in server.log if f"POST {path} " in line
        }
    assert not [line for line in server.log if " 500 " in line or "Traceback" in line]
