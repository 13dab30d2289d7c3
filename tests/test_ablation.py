"""ablation.py as a person runs it: the paper's variants, their table and their picture."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, SMALL, load_script, says, with_settings

from shiftnet_tf.config import toml_file
from shiftnet_tf.evaluation import ablation
from shiftnet_tf.networks import Generator
from shiftnet_tf.run_folder import Run

DEMO = ROOT / "training" / "configs" / "demo.toml"
SETTINGS = [*SMALL, "model.depth=5"]  # the paper's set has a shift at layer 4


@pytest.fixture(scope="module")
def script():
    return load_script("training/ablation")


@pytest.mark.long
def test_the_paper_set(script, tmp_path):
    out = tmp_path / "out"
    arguments = with_settings([str(DEMO), "--out", str(out), "--images", str(PHOTOS / "test")], SETTINGS)
    assert script.main([*arguments, "--baselines", "telea"]) == 0
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
    assert {(m.training.epochs, m.training.steps_per_epoch, m.training.seed) for m in models} == {(2, 4, 0)}

    main = Run.open(out / "runs" / "main").load_generator().decoder_ups[2].kernel.numpy()
    assert main.shape[2] == 3 * 16
    for i, name in enumerate(zeroed):
        kernel = Run.open(out / "runs" / name).load_generator().decoder_ups[2].kernel.numpy()
        parts, originals = np.split(kernel, 3, axis=2), np.split(main, 3, axis=2)
        assert [not part.any() for part in parts] == [j == i for j in range(3)]
        assert all(np.array_equal(parts[j], originals[j]) for j in range(3) if j != i)


def test_a_stopped_ablation_trains_what_is_left_and_measures_all(script, tmp_path, monkeypatch, capsys):
    trained, measured = [], []
    main = Run.create(tmp_path / "runs" / "main", toml_file.read(DEMO, SETTINGS))
    generator = Generator(**dataclasses.asdict(main.config.model))
    generator.build()
    generator.save_weights(main.generator_weights)

    def fit(settings, folder, resume):
        trained.append((folder.name, resume, settings.model.shift, settings.model.skips))

    def evaluate(out, samples, folders, baselines):
        measured.extend(folder.name for folder in folders)

    monkeypatch.setattr(ablation, "fit", fit)
    monkeypatch.setattr(ablation, "evaluate", evaluate)
    arguments = with_settings([str(DEMO), "--out", str(tmp_path)], SETTINGS)
    assert script.main(arguments) == 0
    assert trained == [
        ("main", True, "hard", True),
        ("no_guidance", False, "hard", True),
        ("shift_at_16", False, "hard", True),
        ("shift_at_4", False, "hard", True),
        ("soft_shift", False, "soft", True),
        ("random_shift", False, "random", True),
        ("no_shift", False, "hard", True),
        ("context_encoder", False, "hard", False),
    ]
    assert measured == [name for name, *_ in trained] + ["zero_decoder", "zero_encoder", "zero_shifted"]
    assert script.main(arguments) == 0  # once more: what is zeroed is written again
    trained.clear()
    says(capsys, 2, "main was started with another config", script.main([*arguments, "--set", "model.filters=8"]))
    assert not trained


@pytest.mark.parametrize(
    "more, message",
    [
        (["--images", "nowhere"], "no photo"),
        (["--masks", "round"], "must be center, freeform:SEED or a folder"),
        (["--baselines", "magic"], "a baseline must be one of"),
        (["--set", "model.shift_layers=[]"], "must be a single layer from 2 to 6"),
        (["--set", "model.shift_layers=[2,3]"], "must be a single layer"),
        (["--set", "model.shift=soft"], '`model.shift` must be "hard"'),
        (["--set", 'data.photos=""'], "`data.photos` must be given: --set data.photos=FOLDER"),
        (["--set", 'data.validation_photos=""'], "`--images` must be given, unless `data.validation_photos` is"),
    ],
)
def test_bad_input_is_one_sentence_before_the_training(script, tmp_path, capsys, more, message):
    says(capsys, 2, message, script.main([str(DEMO), "--out", str(tmp_path / "out"), *more]))
    assert not (tmp_path / "out").exists()
