"""ablation.py as a person runs it: the paper's variants, their table and their picture."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, SMALL, load_script, says, with_settings

from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import locked

SETTINGS = [item for item in SMALL if not item.startswith("training.")]
DEMO = ROOT / "training" / "configs" / "demo.toml"


@pytest.fixture(scope="module")
def script():
    return load_script("training/ablation")


@pytest.fixture
def calls(script, monkeypatch):
    """What is asked of train.py and evaluate.py; they run in this process, not each in one of its own."""
    monkeypatch.setattr(script, "STEPS", 2)
    made = []

    def run_script(name, arguments):
        made.append([name, *map(str, arguments)])
        assert load_script(f"training/{name}").main(made[-1][1:]) == 0

    monkeypatch.setattr(script, "run_script", run_script)
    return made


@pytest.mark.long
def test_the_paper_set(script, calls, tmp_path):
    out = tmp_path / "out"
    arguments = with_settings([str(DEMO), "--minutes", "0.0001", "--out", str(out)], SETTINGS)
    assert script.main([*arguments, "--baselines", "telea", "--images", str(PHOTOS / "test")]) == 0
    summary = json.loads((out / "results" / "results.json").read_text())["all"]
    trained = ["main", "no_guidance", "shift_at_16", "shift_at_4", "soft_shift", "random_shift"]
    trained += ["no_shift", "context_encoder"]
    zeroed = ["zero_decoder", "zero_encoder", "zero_shifted"]
    assert list(summary) == [f"{name} (keras)" for name in trained + zeroed] + ["telea"]
    models = [Run.open(out / "runs" / name).config for name in trained]
    assert [(m.model.shift_layers, m.model.shift, m.model.skips) for m in models] == [
        ((3,), "hard", True),
        ((3,), "hard", True),
        ((2,), "hard", True),
        ((4,), "hard", True),
        ((3,), "soft", True),
        ((3,), "random", True),
        ((), "hard", True),
        ((), "hard", False),
    ]
    assert [m.losses.guidance for m in models] == [1, 0, 1, 1, 1, 1, 1, 1]
    assert {(m.training.epochs, m.training.steps_per_epoch, m.training.seed) for m in models} == {(2, 2, 0)}

    main = Run.open(out / "runs" / "main").load_generator().decoder_ups[2].kernel.numpy()
    assert main.shape[2] == 3 * 16
    for i, name in enumerate(zeroed):
        kernel = Run.open(out / "runs" / name).load_generator().decoder_ups[2].kernel.numpy()
        parts, originals = np.split(kernel, 3, axis=2), np.split(main, 3, axis=2)
        assert [not part.any() for part in parts] == [j == i for j in range(3)]
        assert all(np.array_equal(parts[j], originals[j]) for j in range(3) if j != i)

    before = {path: path.read_bytes() for path in (out / "runs").rglob("metrics.csv")}
    assert script.main([*arguments, "--images", str(PHOTOS / "test")]) == 0  # goes on: nothing is trained again
    assert {path: path.read_bytes() for path in before} == before
    assert all("--resume" in call for call in calls[-9:-1])


def test_the_budget_is_what_the_second_epoch_takes(script, tmp_path, monkeypatch):
    trained = []

    def train(config, folder, epochs, changes=()):
        trained.append(epochs)
        (folder / "pictures").mkdir(parents=True)
        for i, time in ((1, 1000), (2, 1016)):
            (folder / "pictures" / f"epoch-000{i}.png").touch()
            os.utime(folder / "pictures" / f"epoch-000{i}.png", (time, time))

    monkeypatch.setattr(script, "train", train)
    (tmp_path / "main" / "half").mkdir(parents=True)  # of a run that was stopped while it was timed
    assert script.epochs_in(8, tmp_path, "config.toml", tmp_path / "main") == 30
    assert not (tmp_path / "main" / "half").exists()
    assert script.epochs_in(8, tmp_path, "config.toml", tmp_path / "main") == 30 and trained == [2]
    with pytest.raises(ValueError, match="was begun with --minutes 8: name a new --out"):
        script.epochs_in(9, tmp_path, "config.toml", tmp_path / "main")


@pytest.mark.parametrize(
    "more, message",
    [
        (["--images", "nowhere"], "no photo"),
        (["--masks", "round"], "must be center, freeform:SEED or a folder"),
        (["--baselines", "magic"], "a baseline must be one of"),
    ],
)
def test_what_to_measure_on_is_checked_before_the_training(script, tmp_path, monkeypatch, capsys, more, message):
    def run_script(name, arguments):
        assert name == "evaluate"
        raise script.ShiftNetError(load_script("training/evaluate").main([*map(str, arguments)]))

    monkeypatch.setattr(script, "run_script", run_script)
    assert script.main([str(DEMO), "--minutes", "1", "--out", str(tmp_path / "out"), *more]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_bad_input_is_one_sentence(script, tmp_path, capsys):
    arguments = [str(DEMO), "--out", str(tmp_path / "out"), "--minutes"]
    cases = [
        (["0"], "`--minutes` must be above 0"),
        (["1", "--set", "model.shift_layers=[]"], "must be one layer from 2 to 6"),
        (["1", "--set", "model.shift_layers=[2,3]"], "must be one layer"),
        (["1", "--set", "training.epochs=5"], "training.epochs and training.steps_per_epoch follow from --minutes"),
        (["1", "--set", "model.shift=soft"], '`model.shift` must be "hard"'),
        (["1", "--set", 'data.photos=""'], "`data.photos` must be given: --set data.photos=FOLDER"),
        (["1", "--set", 'data.validation_photos=""'], "`--images` must be given, or `data.validation_photos`"),
    ]
    for more, message in cases:
        says(capsys, 2, message, script.main([*arguments, *more]))
    assert not (tmp_path / "out").exists()


def test_another_config_in_the_same_folder_is_refused(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "run_script", lambda name, arguments: None)
    script.write_config(tmp_path / "out", script.toml_file.read(DEMO))
    arguments = [str(DEMO), "--minutes", "1", "--out", str(tmp_path / "out"), "--set", "model.filters=8"]
    says(capsys, 2, "holds the ablation of another config", script.main(arguments))


def test_a_folder_of_something_else_is_left_alone(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "run_script", lambda name, arguments: None)
    (tmp_path / "runs" / "main").mkdir(parents=True)
    result = script.main([str(DEMO), "--minutes", "1", "--out", str(tmp_path)])
    says(capsys, 2, "already holds something else", result)
    with locked(tmp_path / "runs" / "main"), pytest.raises(script.InputError, match="another process is at work in"):
        script.epochs_in(1, tmp_path, "config.toml", tmp_path / "runs" / "main")
    assert (tmp_path / "runs" / "main").is_dir()


def test_a_script_that_fails_ends_the_ablation(script, tmp_path, capfd):
    with pytest.raises(script.InputError, match=r"train.py ended with exit code 2: see above"):
        script.run_script("train", [tmp_path / "absent.toml"])
    assert "the config cannot be read" in capfd.readouterr().err


STUBBORN = """
import pathlib, signal, time, sys
def end(number, frame):
    pathlib.Path(sys.argv[1]).write_text("checkpoint")
    sys.exit(130)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_ablation_alone_reaches_what_it_runs(tmp_path, number):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    code = f"""
import importlib.util, pathlib, signal
spec = importlib.util.spec_from_file_location("ablation", {str(ROOT / "training" / "ablation.py")!r})
ablation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ablation)
ablation.SCRIPTS = pathlib.Path({str(tmp_path)!r})
ablation.parse = lambda arguments: ablation.run_script("stubborn", [{str(tmp_path / "written")!r}])
raise SystemExit(ablation.main([]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and error == "stopped\n", error
    assert (tmp_path / "written").read_text() == "checkpoint"


def test_a_trained_network_is_never_deleted_to_be_timed(script, small_run, tmp_path):
    folder = shutil.copytree(small_run, tmp_path / "runs" / "main")
    settings = dataclasses.replace(Run.open(folder).config.training, epochs=9)
    Run(folder, dataclasses.replace(Run.open(folder).config, training=settings)).write_config()
    with pytest.raises(script.InputError, match="is trained, and .*budget.json is not there"):
        script.epochs_in(1, tmp_path, "config.toml", folder)
    assert (folder / "generator.weights.h5").is_file()
    (tmp_path / "budget.json").write_text("{}")
    with pytest.raises(script.InputError, match="budget.json is damaged"):
        script.epochs_in(1, tmp_path, "config.toml", folder)
