"""What the benchmarks compare with is the same network, and what they say is what was measured."""

import csv
import json
import os
import signal
import sys

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, load_script, says
from PIL import Image

from shiftnet_tf import benchmarks
from shiftnet_tf.benchmarks import figures, measuring, plain_keras, reporting, subjects
from shiftnet_tf.benchmarks.measuring import MeasuringError, Worker
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.networks import Discriminator


@pytest.fixture(scope="module")
def script():
    return load_script("export/benchmark")


@pytest.fixture(scope="module")
def training_script():
    return load_script("training/benchmark")


@pytest.fixture(scope="module")
def random_generator(tmp_path_factory):
    model = ModelConfig(filters=8, image_size=64, depth=6)
    return subjects.random_run(tmp_path_factory.mktemp("random") / "run", model).load_generator()


@pytest.fixture(scope="module")
def pairs():
    from shiftnet_tf.export import parity

    return parity.sample_pairs(PHOTOS / "test", 64, 3)


def test_random_weights_keep_the_values_alive(random_generator, pairs):
    inputs = {"image": pairs[0].astype(np.float32) / 127.5 - 1, "mask": pairs[1].astype(np.float32)}
    predicted_image, features = random_generator(inputs, return_features=True)
    assert 0.2 < np.std(predicted_image) < 0.9
    shift_map = np.asarray(features["shift_map"][0])
    assert len(np.unique(shift_map[shift_map >= 0])) > 3


@pytest.mark.parametrize("settings", [{}, {"mask_channel": False, "feature_mask": "nearest"}, {"shift_layers": (2, 3)}])
def test_the_plain_keras_network_is_the_same(tmp_path, pairs, settings):
    model = ModelConfig(filters=4, image_size=64, depth=6, **settings)
    generator = subjects.random_run(tmp_path / "run", model).load_generator()
    found, checks = subjects.plain_subjects(generator, tmp_path, pairs, with_torch=False)
    assert [subject.kind for subject in found] == ["keras_plain"] and checks["Keras"]["max_difference"] < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, {"mask_channel": False, "feature_mask": "nearest"}, {"shift_layers": (2, 3)}])
def test_the_plain_torch_network_is_the_same(tmp_path, pairs, settings):
    pytest.importorskip("torch")
    from shiftnet_tf.benchmarks import plain_torch

    model = ModelConfig(filters=4, image_size=64, depth=6, **settings)
    generator = subjects.random_run(tmp_path / "run", model).load_generator()
    found, checks = subjects.plain_subjects(generator, tmp_path, pairs, with_torch=True)
    assert len(found) == 3 and checks["PyTorch"]["max_difference"] < 1e-4 and checks["PyTorch"]["compared"] == 3

    network = plain_torch.load(plain_torch.TorchGenerator, tmp_path / "plain.pt")
    inputs = {"image": pairs[0].astype(np.float32) / 127.5 - 1, "mask": pairs[1].astype(np.float32)}
    expected, _ = plain_torch.answer(network, inputs)
    last, _ = plain_torch.answer(network.to(memory_format=plain_torch.torch.channels_last), inputs)
    np.testing.assert_allclose(last, expected, atol=1e-4)
    full = {**inputs, "mask": np.ones_like(inputs["mask"])}
    np.testing.assert_allclose(plain_torch.answer(network, full)[0], generator(full), atol=1e-4)


@pytest.mark.long
def test_the_plain_torch_discriminator_is_the_same(pairs):
    pytest.importorskip("torch")
    from shiftnet_tf.benchmarks import plain_torch

    discriminator = Discriminator(filters=4)
    discriminator.build()
    image = pairs[0].astype(np.float32) / 127.5 - 1
    logits = plain_torch.discriminator_of(discriminator)(plain_torch.to_torch(image)).detach().numpy()
    np.testing.assert_allclose(np.moveaxis(logits, 1, -1), discriminator(image), atol=1e-5)


def test_another_network_is_refused(random_generator, pairs):
    plain = plain_keras.PlainGenerator(random_generator)
    inputs = {"image": pairs[0].astype(np.float32) / 127.5 - 1, "mask": pairs[1].astype(np.float32)}
    ours, expected = (subjects._answer(network, inputs) for network in (random_generator, plain))
    assert figures.check_equal("plain", ours, expected)["equal_shifts"] == 1
    with pytest.raises(MeasuringError, match="plain is not the same network"):
        figures.check_equal("plain", ours, (expected[0] + 0.01, expected[1]))
    with pytest.raises(MeasuringError, match="% of its shifts are equal"):
        figures.check_equal("plain", ours, (expected[0], [expected[1][0] + 1]))


def test_the_nominal_arithmetic():
    """Counted by hand from Table 2, pixel by pixel of the smaller side; the prototype's 13.2 GFLOP."""
    assert abs(figures.gflop(ModelConfig(filters=64)) - 13.2) < 0.01
    encoder = 16 * (4 * 2 * 32**2 + 2 * 4 * 16**2)
    decoder = 16 * (4 * 2 * 16**2 + (2 + 2 + 2) * 3 * 32**2)
    model = ModelConfig(filters=2, depth=2, image_size=64, shift_layers=(1,))
    assert figures.gflop(model) == pytest.approx(2 * (encoder + decoder) / 1e9)


@pytest.mark.long
def test_the_nominal_arithmetic_is_that_of_torchs_counter(random_generator):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from shiftnet_tf.benchmarks import plain_torch

    with FlopCounterMode(display=False) as counter:
        plain_torch.generator_of(random_generator)(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert figures.gflop(random_generator) == pytest.approx(counted / 1e9, rel=1e-6)


def test_growth_and_medians():
    assert figures.growth([1, 4, 9], [2, 16, 54]) == pytest.approx(1.5)
    assert figures.growth([1], [2]) is None
    turns = []
    times = {name: (lambda count, name=name: turns.append(name) or [1.0] * count) for name in "ab"}
    assert measuring.in_turns(times, 2, 3) == {"a": [1.0] * 6, "b": [1.0] * 6} and turns == list("abab")


def test_the_table_is_one_that_markdown_reads():
    text = reporting.markdown(["", "ms"], [["a|b", 12.345], ["c", None]])
    lines = list(csv.reader(text.splitlines(), delimiter="|"))
    assert [[cell.strip() for cell in line[1:-1]] for line in lines] == [
        ["", "ms"],
        ["---", "---"],
        ["a/b", "12.3"],
        ["c", "-"],
    ]


def test_a_worker_answers_and_its_end_is_a_sentence(tmp_path):
    with Worker("matrix_product", 1, library="numpy") as worker:
        assert worker.cold_start > 0 and 10e6 < worker.ask("memory") < 500e6
        assert len(worker.times(3)) == 3 and 0.1 < worker.ask("rate") < 1e5
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(MeasuringError, match="ended with code -9"):
            worker.times(1)
    np.savez(tmp_path / "inputs.npz", image=np.zeros([1, 64, 64, 3], np.uint8), mask=np.ones([1, 64, 64, 1], np.uint8))
    with pytest.raises(MeasuringError, match="ONNX Runtime cannot load"):
        Worker("onnxruntime", 1, path=str(tmp_path / "absent.onnx"), inputs=str(tmp_path / "inputs.npz"))


def test_bad_input_is_one_sentence(script, training_script, small_run, tmp_path, capsys):
    for main in (script.main, training_script.main):
        says(capsys, 2, "`--threads` must be from 1 to 256. Received: 0", main(["--threads", "0"]))
        says(capsys, 2, "`--rounds` must be from 1", main(["--rounds", "-1"]))
        says(capsys, 2, "the output folder does not exist", main(["--json", str(tmp_path / "absent" / "a.json")]))
        says(capsys, 2, "must be a file, not a folder", main(["--json", str(tmp_path)]))
        says(capsys, 2, "cannot write", main(["--json", "/proc/a.json"]))
        wrong = ["--without-torch", "--image-size", "250"]
        says(capsys, 2, "must be a multiple of 256 (2 to the `depth` of 8). Received: 250", main(wrong))
        wrong = ["--without-torch", "--filters", "-4"]
        says(capsys, 2, "`model.filters` must be from 1 to 1024. Received: -4", main(wrong))
    says(capsys, 2, "--picture must end in .png", script.main(["--picture", str(tmp_path / "a.jpg")]))
    says(capsys, 2, "--keep must be a new folder", script.main(["--keep", str(tmp_path)]))
    says(capsys, 2, "--filters is the base width", script.main(["--run", str(small_run), "--filters", "8"]))
    absent = ["--without-torch", "--run", str(tmp_path / "absent")]
    says(capsys, 2, "no run folder", script.main(absent))
    absent[1] = "--photos"
    says(capsys, 2, absent[2], training_script.main(absent))
    assert not list(tmp_path.iterdir())


def test_torch_that_is_absent_is_one_sentence(script, training_script, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "shiftnet_tf.benchmarks.plain_torch", raising=False)
    monkeypatch.delattr(benchmarks, "plain_torch", raising=False)
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
        rates = row["photos_per_second"]
        assert set(rates) == ({"1"} if name == "LiteRT" else {"1", "2"})
    assert content["machine"]["threads"] == 1 and content["same_network"]["Keras"]["max_difference"] < 1e-3
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.format == "PNG" and picture.width > 800
    assert output.endswith(f"{tmp_path / 'b.json'}\n{tmp_path / 'b.png'}\n")


@pytest.mark.long
def test_the_whole_benchmark_at_a_small_width(script, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(script, "SIZES", (256, 512))
    arguments = ["--filters", "8", "--rounds", "1", "--repeats", "2", "--large", "--keep", str(tmp_path / "kept")]
    assert script.main([*arguments, "--json", str(tmp_path / "b.json")]) == 0
    content = json.loads((tmp_path / "b.json").read_text())
    assert all(row["failure"] is None for row in content["rows"] + content["large"]), content
    offered = {(row["name"], row["precision"]) for row in content["rows"]}
    assert {("PyTorch", "float32"), ("ONNX Runtime", "int8"), ("LiteRT", "dynamic")} <= offered
    assert len(content["large"]) == 6 and "grows as pixels to the" in capsys.readouterr().out
    assert (tmp_path / "kept" / "models" / "spec.json").is_file()


@pytest.mark.long
def test_a_network_beyond_the_paper_is_measured_without_the_plain_ones(script, tmp_path, capsys):
    arguments = ["--run", str(ROOT / "saved_models" / "compact"), "--precisions", "dynamic", "--rounds", "1"]
    assert script.main([*arguments, "--repeats", "2", "--without-torch"]) == 0
    output = capsys.readouterr().out
    assert "left out" in output and "over LiteRT, dynamic" in output


@pytest.mark.long
def test_the_training_step_at_a_small_width(training_script, tmp_path, capsys):
    pytest.importorskip("torch")
    arguments = ["--filters", "8", "--rounds", "1", "--repeats", "2", "--json", str(tmp_path / "s.json")]
    assert training_script.main(arguments) == 0
    content = json.loads((tmp_path / "s.json").read_text())
    assert set(content["ms"]) == {"ours", "PyTorch", "PyTorch (channels_last)"} and content["ratio"] > 0
    np.testing.assert_allclose(content["first_losses"]["PyTorch"], content["first_losses"]["ours"], rtol=0.01)
    assert "where our step's time goes" in capsys.readouterr().out
