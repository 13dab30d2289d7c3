"""The plain networks are the same network as ours, and the figures in the tables are those that were measured."""

import csv
import json
import sys

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, load_script, says
from PIL import Image

import harness
from harness import measuring, plain_keras, report, runtimes
from harness.measuring import MeasuringError
from harness.runtimes import Subject
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config, DataConfig
from shiftnet_tf.export import parity
from shiftnet_tf.networks import Discriminator, Generator

SETTINGS = [{}, {"mask_channel": False, "feature_mask": "nearest"}, {"shift_layers": (2, 3)}]
ALIKE = 2  # of 3 pictures: in one, rounding may decide between two known positions that are equally similar


@pytest.fixture(scope="module")
def script():
    return load_script("benchmarks/runtimes")


@pytest.fixture(scope="module")
def training_script():
    return load_script("benchmarks/training")


def random_run(path, **settings):
    model = ModelConfig(filters=4, image_size=64, depth=6, **settings)
    return runtimes.random_run(path / "run", Config(model=model, data=DataConfig(short_side=96)))[0]


@pytest.fixture(scope="module")
def random_generator(tmp_path_factory):
    return random_run(tmp_path_factory.mktemp("random")).load_generator()


@pytest.fixture(scope="module")
def pairs():
    images, masks = parity.sample_pairs(PHOTOS / "test", 64, 3)
    return {"image": images.astype(np.float32) / 127.5 - 1, "mask": masks.astype(np.float32)}


def test_random_weights_keep_the_values_alive():
    """At the default width, which is what is timed."""
    generator = Generator()
    images, masks = parity.sample_pairs(PHOTOS / "test", 256, 1)
    inputs = {"image": images.astype(np.float32) / 127.5 - 1, "mask": masks.astype(np.float32)}
    predicted_image, features = generator(inputs, return_features=True)
    assert 0.1 < np.std(predicted_image) < 0.9
    shift_map = np.asarray(features["shift_map"][0])
    assert len(np.unique(shift_map[shift_map >= 0])) > 20


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_plain_keras_network_is_the_same(tmp_path, settings):
    generator = random_run(tmp_path, **settings).load_generator()
    found, checks = runtimes.write_plain(generator, tmp_path, with_torch=False)
    assert [subject.label for subject in found] == ["Keras, plain layers"]
    assert checks["Keras"]["max_difference"] < 1e-4 and checks["Keras"]["compared"] >= ALIKE


@pytest.mark.long
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_plain_torch_network_is_the_same(tmp_path, pairs, settings):
    pytest.importorskip("torch")
    from harness import plain_torch

    generator = random_run(tmp_path, **settings).load_generator()
    found, checks = runtimes.write_plain(generator, tmp_path, with_torch=True)
    assert len(found) == 3 and checks["PyTorch"]["max_difference"] < 1e-4 and checks["PyTorch"]["compared"] >= ALIKE

    network = plain_torch.load(found[0].request["path"])
    expected, _ = plain_torch.answer(network, pairs)
    last, _ = plain_torch.answer(network.to(memory_format=plain_torch.torch.channels_last), pairs)
    np.testing.assert_allclose(last, expected, atol=1e-4)
    full = {**pairs, "mask": np.ones_like(pairs["mask"])}
    np.testing.assert_allclose(plain_torch.answer(network, full)[0], generator(full), atol=1e-4)


@pytest.mark.long
def test_the_plain_torch_discriminator_is_the_same(pairs):
    pytest.importorskip("torch")
    from harness import plain_torch

    discriminator = Discriminator(filters=4)
    discriminator.build()
    plain = plain_torch.TorchDiscriminator(discriminator)
    logits = plain(plain_torch.to_torch(pairs["image"])).detach().numpy()
    np.testing.assert_allclose(np.moveaxis(logits, 1, -1), discriminator(pairs["image"]), atol=1e-5)


def test_another_network_is_refused(random_generator, pairs):
    plain = plain_keras.PlainGenerator(random_generator)
    ours, (image, maps) = (plain_keras.answer(network, pairs) for network in (random_generator, plain))
    assert report.check_equal("plain", ours, (image, maps))["equal_shifts"] == 1
    with pytest.raises(MeasuringError, match="plain is not the same network"):
        report.check_equal("plain", ours, (image + 0.01, maps))
    with pytest.raises(MeasuringError, match="% of its shifts are equal"):
        report.check_equal("plain", ours, (image, [maps[0] + 1]))


def test_medians_are_those_of_all_rounds_and_a_failure_is_not_tried_again(monkeypatch):
    turns = []

    def measure(request):
        turns.append(request["name"])
        if request["name"] == "b":
            raise MeasuringError("no memory")
        return {"ms": [float(len(turns)), 10.0], "memory_mb": float(len(turns))}

    monkeypatch.setattr(measuring, "measure", measure)
    failures = {}
    answers = measuring.in_turns({name: {"name": name} for name in "abc"}, 2, failures)
    assert "".join(turns) == "abcac" and failures == {"b": "no memory"}
    assert measuring.median(answers["a"], "ms") == 7 and measuring.median(answers["a"], "memory_mb") == 2.5
    with pytest.raises(MeasuringError, match="b: no memory"):
        measuring.in_turns({"b": {"name": "b"}}, 1)


def test_ratios_are_to_the_fastest_pytorch(tmp_path, monkeypatch):
    (tmp_path / "model").write_bytes(bytes(2_000_000))
    kinds = {"PyTorch": ("torch", 20.0), "PyTorch (channels_last)": ("torch", 10.0), "ONNX Runtime": ("onnx", 5.0)}
    rows = [
        Subject(name, "float32", {"kind": kind, "path": str(tmp_path / "model"), "ms": ms})
        for name, (kind, ms) in kinds.items()
    ]
    rows.append(Subject("LiteRT", "int8", {"kind": "tflite"}, failure="too few photos"))

    def measure(request):
        return {"ms": [request["ms"], request["ms"]], "memory_mb": 7.0, "cold_start_s": 3.0}

    monkeypatch.setattr(measuring, "measure", measure)
    assert runtimes.measure(rows, {}, 1, batch=2) is rows[1]
    assert [row.values["ratio"] for row in rows[:3]] == [2.0, 1.0, 0.5]
    assert rows[2].values == {"ms": 2.5, "memory_mb": 7.0, "cold_start_s": 3.0, "megabytes": 2.0, "ratio": 0.5}
    assert "| ONNX Runtime | float32 | 2.5 | 0.50 | 2 | 7 | 3 |" in runtimes.table(rows, rows[1])
    assert runtimes.measure(rows[2:], {}, 1) is rows[2]
    with pytest.raises(MeasuringError, match="nothing could be measured: too few photos"):
        runtimes.measure(rows[3:], {}, 1)


def test_the_table_is_one_that_markdown_reads():
    text = report.markdown(["", "ms"], [["a|b", 12.345], ["c", None]])
    lines = list(csv.reader(text.splitlines(), delimiter="|"))
    assert [[cell.strip() for cell in line[1:-1]] for line in lines] == [
        ["", "ms"],
        ["---", "---"],
        ["a/b", "12.3"],
        ["c", "-"],
    ]


@pytest.fixture
def request_of(tmp_path):
    """What a worker is asked about an ONNX file."""
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, image=np.zeros([2, 64, 64, 3], np.uint8), mask=np.ones([2, 64, 64, 1], np.uint8))
    return lambda path: {"kind": "onnx", "threads": 1, "path": str(path), "inputs": str(inputs), "repeats": 6}


def test_the_end_of_a_worker_is_a_sentence(request_of, tmp_path, monkeypatch):
    with pytest.raises(MeasuringError, match="^ONNX Runtime cannot load"):
        measuring.measure(request_of(tmp_path / "absent.onnx"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(MeasuringError, match="ended with code -9: out of memory"):
        measuring.measure(request_of(tmp_path / "absent.onnx"))


def test_what_a_worker_says_of_a_file(small_model, request_of):
    answer = measuring.measure(request_of(small_model / "model.onnx"))
    assert len(answer["ms"]) == 6 and min(answer["ms"]) > 0
    assert 0 < answer["cold_start_s"] < 600 and 20 < answer["memory_mb"] < 500


def test_bad_input_is_one_sentence(script, training_script, small_run, tmp_path, capsys):
    for main in (script.main, training_script.main):
        says(capsys, 2, "`--threads` must be from 1 to 256. Received: 0", main(["--threads", "0"]))
        says(capsys, 2, "`--rounds` must be from 1", main(["--rounds", "-1"]))
        says(capsys, 2, "cannot write", main(["--json", str(tmp_path / "absent" / "a.json")]))
        says(capsys, 2, "must be a file, not a folder", main(["--json", str(tmp_path)]))
        says(capsys, 2, "cannot write", main(["--json", "/proc/a.json"]))
        wrong = ["--without-torch", "--image-size", "250"]
        says(capsys, 2, "must be a multiple of 256 (2 to the `depth` of 8). Received: 250", main(wrong))
        wrong = ["--without-torch", "--filters", "-4"]
        says(capsys, 2, "`model.filters` must be from 1 to 1024. Received: -4", main(wrong))
    lean = "--without-torch"
    says(capsys, 2, "must be a name that ends in .png", script.main([lean, "--picture", str(tmp_path / "a.jpg")]))
    under_a_file = str(ROOT / "README.md" / "a.png")
    says(capsys, 2, "README.md is a file", script.main([lean, "--picture", under_a_file]))
    says(capsys, 2, "--filters is the base width", script.main([lean, "--run", str(small_run), "--filters", "8"]))
    says(capsys, 2, "not a run folder", script.main([lean, "--run", str(tmp_path / "absent")]))
    assert not list(tmp_path.iterdir())


def test_torch_that_is_absent_is_one_sentence(script, training_script, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "harness.plain_torch", raising=False)
    monkeypatch.delattr(harness, "plain_torch", raising=False)
    for main in (script.main, training_script.main):
        says(capsys, 2, 'pip install ".[bench]"', main([]))


@pytest.mark.long
def test_a_runs_files_are_measured_and_a_precision_that_fails_is_said(script, small_run, tmp_path, capsys):
    arguments = ["--run", str(small_run), "--without-torch", "--precisions", "float32,int8", "--rounds", "1"]
    arguments += ["--repeats", "2", "--batch", "2", "--threads", "1", "--json", str(tmp_path / "b.json")]
    assert script.main([*arguments, "--picture", str(tmp_path / "b.png")]) == 0
    output = capsys.readouterr().out
    content = json.loads((tmp_path / "b.json").read_text())
    rows = {(row["name"], row["precision"]): row for row in content["rows"]}
    assert rows["Keras, plain layers", "float32"]["ratio"] == 1
    assert "100 photos" in rows["ONNX Runtime", "int8"]["failure"] and "fails: " in output
    for name in ("TensorFlow", "ONNX Runtime", "LiteRT"):
        row = rows[name, "float32"]
        assert row["ms"] > 0 and row["megabytes"] > 0 and 20 < row["memory_mb"] < 5000 and 0 < row["cold_start_s"] < 600
        assert f"| {name} | float32 | " in output
    assert content["machine"]["threads"] == 1 and content["same_network"]["Keras"]["max_difference"] < 1e-3
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.format == "PNG" and picture.width > 800
    assert output.endswith(f"{tmp_path / 'b.json'}\n{tmp_path / 'b.png'}\n")


@pytest.mark.long
def test_the_whole_benchmark_at_a_small_width(script, tmp_path):
    pytest.importorskip("torch")
    arguments = ["--filters", "8", "--rounds", "1", "--repeats", "2", "--json", str(tmp_path / "b.json")]
    assert script.main(arguments) == 0
    content = json.loads((tmp_path / "b.json").read_text())
    assert all(row["failure"] is None for row in content["rows"]), content
    offered = {(row["name"], row["precision"]) for row in content["rows"]}
    assert {("PyTorch", "float32"), ("ONNX Runtime", "int8"), ("LiteRT", "dynamic")} <= offered


@pytest.mark.long
def test_a_network_beyond_the_paper_is_measured_without_the_plain_ones(script, tmp_path, capsys):
    arguments = ["--run", str(ROOT / "saved_models" / "compact"), "--precisions", "dynamic", "--rounds", "1"]
    assert script.main([*arguments, "--repeats", "2", "--without-torch"]) == 0
    output = capsys.readouterr().out
    assert "left out" in output and "over LiteRT, dynamic" in output


@pytest.mark.long
def test_the_training_step_at_a_small_width(training_script, tmp_path):
    pytest.importorskip("torch")
    arguments = ["--filters", "8", "--rounds", "1", "--repeats", "2", "--json", str(tmp_path / "s.json")]
    assert training_script.main(arguments) == 0
    content = json.loads((tmp_path / "s.json").read_text())
    assert set(content["ms"]) == {"ours", "PyTorch", "PyTorch (channels_last)"}
    np.testing.assert_allclose(content["first_losses"]["PyTorch"], content["first_losses"]["ours"], rtol=0.01)
