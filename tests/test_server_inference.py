"""The Open Inference Protocol, with NVIDIA's own client: the values of the model, in JSON and as bytes; limits."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import PHOTOS
from test_server import Server, error, slow_app

from shiftnet_tf import Inpainter
from shiftnet_tf.photos import finding, image_files, pixels

pytest.importorskip("fastapi")
client = pytest.importorskip("tritonclient.http")
HEADER = "Inference-Header-Content-Length"
INFER = "/v2/models/shiftnet/infer"


@pytest.fixture(scope="module")
def server(small_model):
    server = Server("--model", str(small_model), "--token", "sesame", "--in-flight", "300", "--max-pixels", "0.1")
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log if "Traceback" in line]


@pytest.fixture(scope="module")
def backend(small_model):
    return Inpainter.load(small_model).backend


@pytest.fixture(scope="module")
def triton(server):
    with client.InferenceServerClient(server.address, concurrency=16, network_timeout=120) as triton:
        triton._client_stub.default_headers["Authorization"] = "Bearer sesame"
        yield triton


def pairs(number, size=64):
    """Crops of real photos, each with a hole of its own: uint8 [number, S, S, 3] and [number, S, S, 1]."""
    rng, photos = np.random.default_rng(0), finding.find_photos(PHOTOS)
    images, masks = [], np.zeros((number, size, size, 1), np.uint8)
    for i in range(number):
        photo = image_files.read_image(photos[i % len(photos)])
        top, left = rng.integers(0, 200), rng.integers(0, 200)
        images.append(pixels.resize_image(photo[top : top + 160, left : left + 160], size, size))
        top, left = rng.integers(4, size // 2, 2)
        masks[i, top : top + 20, left : left + 24] = 1 + i % 255
    return np.stack(images), masks


def inputs(image, mask, binary=True):
    tensors = [client.InferInput(name, x.shape, "UINT8") for name, x in (("image", image), ("mask", mask))]
    for tensor, values in zip(tensors, (image, mask)):
        tensor.set_data_from_numpy(values, binary_data=binary)
    return tensors


def outputs(*names, binary=True):
    return [client.InferRequestedOutput(name, binary_data=binary) for name in names]


def post(server, request, tail=b"", headers=(), path=INFER):
    body = json.dumps(request).encode()
    length = {HEADER: str(len(body))} if tail else {}
    return server.ask(path, body + tail, {"Authorization": "Bearer sesame"} | length | dict(headers))


def described(image, mask, **more):
    """A request in JSON."""
    tensors = [
        {"name": name, "datatype": "UINT8", "shape": list(x.shape), "data": x.tolist()}
        for name, x in (("image", image), ("mask", mask))
    ]
    return {"inputs": tensors} | more


def test_health_and_metadata(triton, server):
    assert triton.is_server_live() and triton.is_server_ready()
    assert triton.is_model_ready("shiftnet") and triton.is_model_ready("shiftnet", "1")
    assert not triton.is_model_ready("other") and not triton.is_model_ready("shiftnet", "2")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    assert triton.get_model_metadata("shiftnet") == {
        "name": "shiftnet",
        "versions": ["1"],
        "platform": "onnxruntime",
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [-1, 64, 64, 3]},
            {"name": "mask", "datatype": "UINT8", "shape": [-1, 64, 64, 1]},
        ],
        "outputs": [
            {"name": "inpainted_image", "datatype": "UINT8", "shape": [-1, 64, 64, 3]},
            {"name": "shift_map", "datatype": "INT32", "shape": [-1, -1, -1]},
        ],
    }
    assert json.loads(server.ask("/v2/health/live")[1]) == {"live": True}


@pytest.mark.parametrize("binary", [True, False])
def test_the_values_of_the_model(triton, backend, binary):
    image, mask = pairs(3)
    wanted = outputs("inpainted_image", "shift_map", binary=binary)
    answer = triton.infer("shiftnet", inputs(image, mask, binary), outputs=wanted, request_id="seven")
    assert answer.get_response()["id"] == "seven" and answer.get_response()["model_name"] == "shiftnet"
    for i in range(3):
        expected = backend(image[i : i + 1], mask[i : i + 1])
        for name, values in expected.items():
            given = answer.as_numpy(name)
            assert given.dtype == values.dtype and len(given) == 3
            np.testing.assert_array_equal(given[i : i + 1], values)
    assert (answer.as_numpy("inpainted_image") != image).any()


def test_the_outputs_that_are_asked_for(triton, server):
    image, mask = pairs(1)
    assert [x["name"] for x in triton.infer("shiftnet", inputs(image, mask)).get_response()["outputs"]] == [
        "inpainted_image",
        "shift_map",
    ]
    answer = triton.infer("shiftnet", inputs(image, mask), outputs=outputs("shift_map"))
    assert [x["name"] for x in answer.get_response()["outputs"]] == ["shift_map"]
    flat = described(image.reshape(1, -1), mask.reshape(1, -1))
    flat["inputs"][0]["shape"], flat["inputs"][1]["shape"] = list(image.shape), list(mask.shape)
    given, flat_given = (
        post(server, described(image, mask)),
        post(server, flat, path=INFER.replace("/i", "/versions/1/i")),
    )
    assert given[0] == 200 and given[1] == flat_given[1] and given[2]["Content-Type"] == "application/json"
    status, content, headers = post(server, described(image, mask, parameters={"binary_data_output": True}))
    length = int(headers[HEADER])
    assert status == 200 and headers["Content-Type"] == "application/octet-stream"
    sizes = [x["parameters"]["binary_data_size"] for x in json.loads(content[:length])["outputs"]]
    assert len(content) == length + sum(sizes)


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.long)])
def test_each_of_many_requests_gets_its_own_picture(triton, server, backend, number):
    image, mask = pairs(number)
    asked = [
        triton.async_infer("shiftnet", inputs(image[i : i + 1], mask[i : i + 1]), outputs=outputs("inpainted_image"))
        for i in range(number)
    ]
    for i, request in enumerate(asked):
        expected = backend(image[i : i + 1], mask[i : i + 1])["inpainted_image"]
        np.testing.assert_array_equal(request.get_result().as_numpy("inpainted_image"), expected)
    text = server.ask("/metrics", headers={"Authorization": "Bearer sesame"})[1].decode()
    count = float(text.split(f'shiftnet_requests_total{{path="{INFER}",status="200"}} ')[1].split()[0])
    assert count >= number and f'shiftnet_request_seconds_count{{path="{INFER}"}} {count}' in text


def test_what_is_wrong_with_a_request(server):
    image, mask = pairs(1)
    right = described(image, mask)

    def changed(number, **values):
        tensors = [dict(tensor) for tensor in right["inputs"]]
        tensors[number] |= values
        return right | {"inputs": tensors}

    ragged = [[1, 2], [3]]
    without = {key: value for key, value in right["inputs"][1].items() if key != "data"}
    for request, message in (
        ([], "`request`: "),
        ({"inputs": right["inputs"][:1]}, "`inputs` must be image and mask, each once"),
        ({"inputs": right["inputs"] + right["inputs"][1:]}, "`inputs` must be image and mask, each once"),
        (changed(0, datatype="FP32"), "`image` must have the datatype UINT8. Received: 'FP32'"),
        (changed(0, shape=[1, 32, 32, 3]), "`image` must have the shape [-1, 64, 64, 3]"),
        (changed(0, shape=[]), "Received: []"),
        (changed(0, shape=[0, 64, 64, 3]), "where -1 is any number from 1. Received: [0, 64, 64, 3]"),
        (changed(1, shape=["1", 64, 64, 1]), "`inputs.1.shape.0`: should be a valid integer"),
        (changed(1, data=ragged), "`data` of `mask` must be 4096 whole numbers"),
        (changed(1, data=[0.5] * 4096), "`data` of `mask` must be 4096 whole numbers"),
        (changed(1, data=[10**30] * 4096), "`data` of `mask` must be 4096 whole numbers"),
        (changed(1, data=[256] * 4096), "`data` of `mask` must be from 0 to 255"),
        (changed(1, data="AAAA"), "`inputs.1.data`: should be a valid list"),
        (changed(1, parameters={"binary_data_size": 4096}), "`mask` of the shape [1, 64, 64, 1] takes 4096 bytes"),
        ({"inputs": [right["inputs"][0], without]}, "`data` of `mask` must be 4096 whole numbers"),
        (right | {"outputs": [{"name": "depth"}]}, "unknown output 'depth': the model has inpainted_image, shift_map"),
        (described(image, np.repeat(mask, 2, 0)), "1 images and 2 masks"),
    ):
        assert message in error(post(server, request), 400), message
    for tail, size in ((b"1234", 4), (bytes(4096), 4095), (bytes(4095), 4096), (bytes(4096), -1)):
        request = {"inputs": [right["inputs"][0], without | {"parameters": {"binary_data_size": size}}]}
        assert "takes 4096 bytes and no `data`" in error(post(server, request, tail), 400), size
    assert "4 bytes follow the JSON" in error(post(server, right, b"1234"), 400)
    for length in ("-1", "x", "999999999", "٣"):
        answer = post(server, right, headers={HEADER: length.encode()})
        assert f"{HEADER} must be the JSON's size in bytes" in error(answer, 400), length
    assert "invalid JSON" in error(post(server, right, headers={HEADER: "5"}), 400)
    assert "send no Content-Encoding" in error(post(server, right, headers={"Content-Encoding": "gzip"}), 415)


def test_the_limits_of_the_server(server):
    image, mask = pairs(1)
    many = described(np.repeat(image, 25, 0), np.repeat(mask, 25, 0))
    assert "0.1024 megapixels, the limit is 0.1: send fewer images" in error(post(server, many), 413)
    body = b'{"inputs": [' + b"," * 10_000_000
    answer = server.ask(INFER, body, {"Authorization": "Bearer sesame"})
    assert "more than 10,000,000 commas and brackets: send binary tensors" in error(answer, 413)
    assert "larger than" in error(server.ask(INFER, bytes(65_000_000), {"Authorization": "Bearer sesame"}), 413)
    assert "token is missing" in error(server.ask(INFER, b"{}"), 401)
    assert "this server has /v2/models/shiftnet" in error(server.ask("/v2/models/other"), 404)
    assert "accepts OPTIONS, POST" in error(server.ask(INFER), 405)


def test_too_many_at_a_time_and_too_slow():
    testclient = pytest.importorskip("starlette.testclient")
    image, mask = pairs(1)
    request = described(image, mask)
    with testclient.TestClient(slow_app(1.0, in_flight=2)) as http, ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(http.post, INFER, json=request) for _ in "1234"]]
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
        assert next(x for x in answers if x.status_code == 200).json()["outputs"][0]["data"] == image.ravel().tolist()
    with testclient.TestClient(slow_app(1.0, seconds=0.3)) as http:
        answer = http.post(INFER, json=request)
        assert answer.status_code == 503 and "no answer within 0.3 seconds" in answer.json()["error"]
        while "in_flight 0.0" not in http.get("/metrics").text:  # until the model is through
            time.sleep(0.1)


def test_a_name_for_the_model(capsys):
    from shiftnet_tf.cli import main

    assert main(["serve", "--port", "0", "--model-name", "a/b"]) == 2
    assert "`--model-name` must be letters, digits" in capsys.readouterr().err
