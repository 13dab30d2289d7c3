"""How long a fill takes; how much faster the network is than the same from Keras's plain layers."""

import time

import numpy as np
import pytest
import tensorflow as tf

from harness.measuring import time_calls
from harness.plain_keras import PlainGenerator
from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.export import to_tflite
from shiftnet_tf.export.exporter import Job
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import Generator
from shiftnet_tf.runtime.engines import LiteRTBackend
from shiftnet_tf.runtime.refine import detail, shift_map


@pytest.mark.long
def test_faster_than_plain_keras_layers(tmp_path):
    """Base width 64: TensorFlow at least 1.3 times, LiteRT (2 threads) at least 2.5 times."""
    generator = Generator(filters=64)
    generator.build()
    networks = {"ours": generator, "plain": PlainGenerator(generator)}
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    mask = sampling.center(256)[np.newaxis, ..., np.newaxis]
    inputs = {"image": tf.constant(image / 127.5 - 1, tf.float32), "mask": tf.constant(mask, tf.float32)}

    calls = {}
    for name, network in networks.items():
        graph = tf.function(lambda image, mask, network=network: network({"image": image, "mask": mask}))
        calls[f"TensorFlow {name}"] = lambda graph=graph: graph(**inputs).numpy()
        to_tflite.convert(network, tmp_path / name, Job(format="tflite"))
        backend = LiteRTBackend(tmp_path / name, threads=2)
        calls[f"LiteRT {name}"] = lambda backend=backend: backend(image, mask)["inpainted_image"]
    np.testing.assert_allclose(calls["TensorFlow ours"](), calls["TensorFlow plain"](), atol=1e-4)
    assert np.abs(calls["LiteRT ours"]().astype(int) - calls["LiteRT plain"]()).max() <= 1

    rounds = [{name: time_calls(call, 15) for name, call in calls.items()} for _ in range(3)]  # in turns
    times = {name: np.median([turn[name] for turn in rounds]) for name in calls}
    print({name: round(value, 1) for name, value in times.items()})
    assert times["TensorFlow plain"] / times["TensorFlow ours"] >= 1.3
    assert times["LiteRT plain"] / times["LiteRT ours"] >= 2.5


@pytest.mark.long
def test_a_wide_hole_in_a_small_photo(photo, monkeypatch, capsys):
    """256x256 pixels with a hole of 120x120: under 1.5 seconds on two cores; prints the processor time of each step."""
    spent = {}

    def measure(module, name):
        function = getattr(module, name)

        def measured(*args, **options):
            started = time.process_time()
            answer = function(*args, **options)
            spent.setdefault(name.strip("_"), []).append(time.process_time() - started)
            return answer

        monkeypatch.setattr(module, name, measured)

    for name in ("candidates", "data_costs", "_labels", "_seams", "heal"):
        measure(shift_map, name)
    measure(shift_map.solver, "solve")
    measure(detail, "blended")
    image, mask = photo[0][:256, :256], sampling.center(256)
    inpainter, seconds = Inpainter.load(), {"model": [], "shift-map": []}
    for taken in ["model", "shift-map"] * 10:
        started = time.perf_counter()
        inpainter(image, mask, FillOptions(detail=taken))
        seconds[taken].append(time.perf_counter() - started)
    seconds = {name: np.median(values) for name, values in seconds.items()}
    with capsys.disabled():
        print("\nseconds:", *(f"{name} {value:.2f}" for name, value in seconds.items()))
        print("processor time in ms:", *(f"{name} {sum(values) * 100:.0f}" for name, values in spent.items()))
    assert seconds["shift-map"] < 1.5
