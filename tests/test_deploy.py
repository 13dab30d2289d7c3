"""The files of deploy/: parsed by Python, and checked by systemd, nginx, Caddy and linters where they are installed."""

import configparser
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import MASK, PHOTOS, ROOT

from shiftnet_tf.cli import make_parser
from shiftnet_tf.server.limits import Limits

DEPLOY = ROOT / "deploy"
SECONDS_TO_END = 10  # after --timeout, see docs/serve.md
BOUNDARY = "part"


def read(name):
    return (DEPLOY / name).read_text("utf-8")


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)  # a key may be given twice
    parser.optionxform = str
    parser.read_string(read("shiftnet.service"))
    return parser


def arguments(name):
    """What follows `shiftnet` on the command line of a file."""
    if name == "shiftnet.service":
        return shlex.split(unit()["Service"]["ExecStart"])[1:]
    if name.startswith("Dockerfile"):
        assert json.loads(re.search(r"^ENTRYPOINT (.*)$", read(name), re.MULTILINE).group(1)) == ["shiftnet"]
        return json.loads(re.search(r"^CMD (.*)$", read(name), re.MULTILINE).group(1))
    return json.loads(re.search(r"^ *args: (\[.*?\])$", read(name), re.MULTILINE | re.DOTALL).group(1))


@pytest.mark.parametrize("name", ["shiftnet.service", "Dockerfile", "Dockerfile.gpu", "kubernetes.yaml", "kserve.yaml"])
def test_the_command_has_options_that_exist_and_limits_that_hold(name):
    options = make_parser().parse_args(arguments(name))
    assert not options.page and options.port == (8080 if name == "kserve.yaml" else 8000)
    Limits(
        bytes=int(options.max_bytes * 1e6),
        pixels=int(options.max_pixels * 1e6),
        seconds=options.timeout,
        in_flight=options.in_flight,
    )


def test_the_public_name_and_the_token_reach_the_server():
    """Of the proxies the long tests show it."""
    [name] = re.findall(r"server_name (\S+);", read("nginx.conf"))
    assert f"\n{name} {{\n" in read("Caddyfile")
    for file in ("shiftnet.service", "kubernetes.yaml"):
        assert name in make_parser().parse_args(arguments(file)).allow_host, file
        assert "--token" not in arguments(file)  # which others can read
    assert unit()["Service"]["EnvironmentFile"].startswith("/") and "name: SHIFTNET_TOKEN" in read("kubernetes.yaml")
    for file, passes_on in (("nginx.conf", ["proxy_set_header Host $http_host;"]), ("Caddyfile", [])):
        text = read(file)
        assert [
            line.strip() for line in text.splitlines() if re.match(r"\s*(proxy_set_header|header_up) Host", line)
        ] == (passes_on)
        assert not re.search(r"^\s*(proxy_set_header|header_up) -?Authorization", text, re.MULTILINE)


def test_the_unit_waits_until_the_server_has_ended():
    options = make_parser().parse_args(arguments("shiftnet.service"))
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > options.timeout + SECONDS_TO_END
    assert service["KillMode"] == "mixed" and options.host == "127.0.0.1"


def test_the_proxies_wait_and_take_longer_than_the_server():
    options = make_parser().parse_args(arguments("shiftnet.service"))
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", read("nginx.conf"))
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", read("nginx.conf"))
    assert int(seconds) > options.timeout + SECONDS_TO_END and int(megabytes) > options.max_bytes
    [seconds] = re.findall(r"response_header_timeout (\d+)s", read("Caddyfile"))
    [megabytes] = re.findall(r"max_size (\d+)MB", read("Caddyfile"))
    assert int(seconds) > options.timeout + SECONDS_TO_END and int(megabytes) > options.max_bytes


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_braces_are_closed(name):
    text = "\n".join(line.split("#")[0] for line in read(name).splitlines())
    assert text.count("{") == text.count("}") > 2


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_the_image_is_built_from_files_that_are_there(name):
    ignored = read(f"{name}.dockerignore").splitlines()
    taken = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*" and all((ROOT / name).exists() for name in taken)
    needed = {"shiftnet_tf", "saved_models", "setup.py", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"}
    assert needed <= taken


def test_the_manifest_is_of_one_application():
    yaml = pytest.importorskip("yaml")
    deployment, service = yaml.safe_load_all(read("kubernetes.yaml"))
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    labels = deployment["spec"]["selector"]["matchLabels"]
    assert labels == pod["metadata"]["labels"] == service["spec"]["selector"]
    assert container["ports"] == [{"name": service["spec"]["ports"][0]["targetPort"], "containerPort": 8000}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz" and container[probe]["httpGet"]["port"] == "http"
    options = make_parser().parse_args(container["args"])
    assert container["args"] == arguments("kubernetes.yaml")
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain + options.timeout + SECONDS_TO_END


def test_kserve_waits_longer_than_the_server_and_asks_no_more_of_it():
    yaml = pytest.importorskip("yaml")
    server, triton = yaml.safe_load_all(read("kserve.yaml"))
    assert {x["apiVersion"] for x in (server, triton)} == {"serving.kserve.io/v1beta1"}
    predictor = server["spec"]["predictor"]
    [container] = predictor["containers"]
    options = make_parser().parse_args(container["args"])
    assert container["ports"][0]["containerPort"] == options.port and options.model_name == server["metadata"]["name"]
    assert options.in_flight > predictor["containerConcurrency"] > predictor["scaleTarget"]
    assert predictor["timeout"] > options.timeout + SECONDS_TO_END
    for probe, path in (("readinessProbe", "/v2/health/ready"), ("livenessProbe", "/v2/health/live")):
        assert container[probe]["httpGet"] == {"path": path, "port": options.port}
    model = triton["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"} and model["protocolVersion"] == "v2"


def test_the_ray_service_has_options_that_exist():
    yaml = pytest.importorskip("yaml")
    from shiftnet_tf.cluster.serve import Options

    service = yaml.safe_load(read("rayservice.yaml"))
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    [application] = config["applications"]
    module, name = application["import_path"].split(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))
    options = Options(**application["args"])
    options.limits()
    assert config["http_options"]["request_timeout_s"] > options.timeout + SECONDS_TO_END
    cluster = service["spec"]["rayClusterConfig"]
    [workers] = cluster["workerGroupSpecs"]
    pod = workers["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > options.timeout + SECONDS_TO_END
    [container] = pod["containers"]
    assert workers["maxReplicas"] >= options.max_replicas
    assert container["env"][0]["name"] == "SHIFTNET_TOKEN" and "token" not in application["args"]
    assert float(container["resources"]["limits"]["cpu"]) >= options.cpus
    assert f"ray=={cluster['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()


def test_the_training_job_is_one_that_the_command_takes():
    yaml = pytest.importorskip("yaml")
    from shiftnet_tf.config import toml_file
    from shiftnet_tf.system.bundled import find_config

    replicas = yaml.safe_load(read("tfjob.yaml"))["spec"]["tfReplicaSpecs"]
    assert replicas["Chief"]["template"] == replicas["Worker"]["template"]
    [container] = replicas["Chief"]["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow" and container["command"] == ["sh", "-c"]
    [script] = container["args"]
    run("sh", "-n", "-c", script)
    commands = re.findall(r"exec shiftnet (.*)", script.replace("\\\n", " "))
    resumed, new = (make_parser().parse_args(shlex.split(line)) for line in commands)
    assert resumed.resume and resumed.run_dir == new.run_dir and not new.resume
    settings = toml_file.read(find_config(new.config), new.set)
    assert settings.training.batch_size % sum(spec["replicas"] for spec in replicas.values()) == 0
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(settings.data.photos) <= mounts and Path(new.run_dir).parent.as_posix() in mounts


# ---- the real programs


def program(name):
    """The path of a program in the test's environment or the system's; else the test is skipped."""
    found = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    )
    return found or pytest.skip(f"{name} is not installed")


def run(*command, **variables):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=os.environ | variables, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_systemd_verifies_the_unit(tmp_path):
    text = read("shiftnet.service").replace("/opt/shiftnet/bin/shiftnet", sys.executable)  # one that is there
    (tmp_path / "shiftnet.service").write_text(text)
    assert run(program("systemd-analyze"), "verify", tmp_path / "shiftnet.service") == ""
    level = run(
        program("systemd-analyze"), "security", "--offline=true", "--threshold=20", tmp_path / "shiftnet.service"
    )
    assert "Overall exposure level" in level


@pytest.mark.long
@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_hadolint_finds_nothing(name):
    assert run(program("hadolint"), DEPLOY / name) == ""


@pytest.mark.long
def test_the_manifest_has_only_fields_of_kubernetes():
    said = run(program("kubernetes-validate"), "--strict", DEPLOY / "kubernetes.yaml")
    assert "deployment/shiftnet" in said and "service/shiftnet" in said


@contextlib.contextmanager
def running(*command, port, **variables):
    """A program that listens on a port; ended after the block."""
    process = subprocess.Popen([str(word) for word in command], env=os.environ | variables, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read().decode()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=90)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server():
    port = free_port()
    command = [sys.executable, "-c", "import sys; from shiftnet_tf.cli import main; sys.exit(main())"]
    options = ["--port", port, "--allow-host", "photos.example.org", "--root-path", "/inpainting"]
    with running(*command, "serve", *options, port=port, PYTHONPATH=str(ROOT), SHIFTNET_TOKEN="right"):
        yield port


def ask(url, token=None, body=None, **headers):
    """The status and the body of an answer; 0 where the connection was closed while the body was sent."""
    import ssl

    if body:
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=90, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except urllib.error.URLError as error:
        assert isinstance(error.reason, ConnectionError)
        return 0, b""


def form():
    parts = []
    for name, path in (("image", PHOTOS / "test" / "gc_farm_sheep.jpg"), ("mask", MASK)):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{path.name}"\r\n\r\n'
        parts += [head.encode(), path.read_bytes(), b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def stands_before(url, server):
    """A proxy gives the server's own answers to who has the token, and to nobody else."""
    direct = ask(f"http://127.0.0.1:{server}/v1/inpaint", "right", form())
    assert direct[0] == 200
    for host, origin in ((urlsplit(url).netloc, url), ("photos.example.org", "https://photos.example.org")):
        assert ask(f"{url}/v1/inpaint", "right", form(), Host=host, Origin=origin) == direct
    assert ask(f"{url}/inpainting/v1/inpaint", "right", form()) == direct
    assert ask(f"{url}/inpainting/healthz")[0] == ask(f"{url}/healthz")[0] == 200
    assert ask(f"{url}/v1/inpaint", "wrong", form())[0] == ask(f"{url}/v1/inpaint", body=form())[0] == 401
    assert ask(f"{url}/healthz", Origin="https://evil.example")[0] == 403
    assert ask(f"{url}/metrics", "right")[0] == 404
    assert ask(f"http://127.0.0.1:{server}/metrics", "right")[0] == 200
    status, body = ask(f"{url}/v1/inpaint", "right", bytes(64_000_001))
    assert status == 0 or (status == 413 and "error" in json.loads(body))  # the server's sentence
    assert ask(f"{url}/v1/inpaint", "right", bytes(69_000_000))[0] in (0, 413, 502)  # the proxy's; Caddy 2.6 says 502


@pytest.mark.long
def test_nginx_stands_before_the_server(server, tmp_path):
    nginx, port = program("nginx"), free_port()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=photos.example.org"]
    run(*request, "-keyout", key, "-out", certificate)
    text = read("nginx.conf")
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("127.0.0.1:8000", f"127.0.0.1:{server}"),
        ("/etc/ssl/certs/photos.example.org.pem", str(certificate)),
        ("/etc/ssl/private/photos.example.org.key", str(key)),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "shiftnet.conf").write_text(text)
    folders = "".join(
        f"{kind}_temp_path {tmp_path / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\npid {tmp_path / 'pid'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}include {tmp_path / 'shiftnet.conf'};\n}}\n"
    )
    settings = ["-e", tmp_path / "log", "-c", tmp_path / "nginx.conf"]
    assert "test is successful" in run(nginx, *settings, "-t")
    with running(nginx, *settings, port=port):
        stands_before(f"https://127.0.0.1:{port}", server)


@pytest.mark.long
def test_caddy_stands_before_the_server(server, tmp_path):
    caddy, port = program("caddy"), free_port()
    variables = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    file = ["--adapter", "caddyfile", "--config"]
    assert "Valid configuration" in run(caddy, "validate", *file, DEPLOY / "Caddyfile", **variables)
    text = read("Caddyfile")
    for old, new in (
        ("photos.example.org {", f"http://:{port} {{"),
        ("reverse_proxy 127.0.0.1:8000", f"reverse_proxy 127.0.0.1:{server}"),
        ("{\n\tservers", "{\n\tadmin off\n\tservers"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "Caddyfile").write_text(text)
    with running(caddy, "run", *file, tmp_path / "Caddyfile", port=port, **variables):
        stands_before(f"http://127.0.0.1:{port}", server)


@pytest.mark.long
def test_systemd_hands_the_server_a_socket():
    port = free_port()
    activate = [program("systemd-socket-activate"), "--listen", f"127.0.0.1:{port}", f"--setenv=PYTHONPATH={ROOT}"]
    with running(*activate, sys.executable, "-m", "shiftnet_tf", "serve", "--fd", "3", port=port):
        assert ask(f"http://127.0.0.1:{port}/healthz")[0] == 200
