"""The exporters: parity with Keras, what spec.json says, and that a bad file is not left behind."""

import dataclasses
import json
import shutil

import numpy as np
import onnx
import pytest
from conftest import PHOTOS, change_weights, load_script, says, untrained_run

from shiftnet_tf import __version__, model_folder
from shiftnet_tf.errors import ExportError, InputError
from shiftnet_tf.export import export_onnx, export_tflite, exporter, facts, graph, parity, to_saved_model
from shiftnet_tf.networks import Generator
from shiftnet_tf.run_folder import Run
from shiftnet_tf.runtime import Inpainter, backends


@pytest.fixture(scope="module")
def generator(small_run):
    return Run.open(small_run).load_generator()


@pytest.fixture(scope="module")
def wide_run(made_once):
    """A run with the bundled model's network in small, whose weights are most of its exported file."""
    network = dict.fromkeys(("seamless", "patches", "blend_patches", "smooth_upsampling"), True)
    return made_once("run", "wide", lambda path: untrained_run(path, image_size=64, depth=6, filters=16, **network))


@pytest.fixture(scope="module")
def wide_model(made_once, wide_run, few_photos):
    """A model folder with that run in float32, as ONNX and TFLite."""

    def make(path):
        for script in ("export_onnx", "export_tflite"):
            arguments = [str(wide_run), "--out", str(path), "--photos", str(few_photos), "--shift-map"]
            assert load_script(f"export/{script}").main(arguments) == 0

    return made_once("model", "wide", make)


@pytest.fixture(scope="module")
def pairs():
    return parity.sample_pairs(PHOTOS / "train", 64)


@pytest.fixture(scope="module")
def few_pairs(pairs):
    """Two of each kind of hole."""
    return pairs[0][:6], pairs[1][:6]


def test_all_formats_agree_with_keras(small_model):
    """Over the hole's pixels of 20 photos."""
    spec = model_folder.ModelSpec.read(small_model)
    assert {entry.format for entry in spec.files.values()} == {"onnx", "tflite", "saved_model"}
    for entry in spec.files.values():
        assert entry.parity["pairs"] == 20 and entry.parity["compared_pairs"] >= 18
        assert entry.parity["equal_shifts"] >= 0.99
        assert entry.parity["mean_difference"] <= 0.05 and entry.parity["pixels_off"] <= 0.001


def test_the_parity_in_the_spec_is_that_of_the_file(small_model, generator, pairs):
    spec = model_folder.ModelSpec.read(small_model)
    for name, entry in spec.files.items():
        backend = backends.open_file(entry.format, small_model / name)
        measured = parity.measure(generator, backend, pairs)
        assert measured["equal_shifts"] == pytest.approx(entry.parity["equal_shifts"], abs=1e-3)
        assert measured["mean_difference"] == pytest.approx(entry.parity["mean_difference"], abs=1e-3)


def test_spec_json_is_the_contract(small_model, small_run):
    spec = json.loads((small_model / "spec.json").read_text())
    assert spec["format_version"] == 1 and spec["image_size"] == 64
    assert spec["inputs"]["mask"] == {
        "shape": ["batch", "image_size", "image_size", 1],
        "dtype": "uint8",
        "meaning": "nonzero = hole",
    }
    assert spec["outputs"]["inpainted_image"]["dtype"] == "uint8" and spec["outputs"]["shift_map"]["dtype"] == "int32"
    assert spec["masks"] == {"center": 1.0, "rectangle": 1.0, "freeform": 1.0, "objects": 0.0, "folder": 0.0}
    assert {"tensorflow", "keras", "onnx", "tf2onnx", "python", "shiftnet_tf"} == set(spec["versions"])
    assert spec["weights_sha256"] == model_folder.sha256(small_run / "generator.weights.h5")
    assert set(spec["files"]) == {"model.onnx", "model.tflite", "saved_model"}
    for name, entry in spec["files"].items():
        assert entry["sha256"] == model_folder.sha256(small_model / name)
        assert entry["precision"] == "float32" and entry["batch"] == (1 if name == "model.tflite" else None)
    assert {path.name for path in small_model.iterdir()} == {*spec["files"], "spec.json"}


def test_onnx_opset_inputs_and_batch(small_model, pairs):
    model = onnx.load(small_model / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert next(item.version for item in model.opset_import if item.domain == "") >= 17
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes["image"][1:] == [64, 64, 3] and shapes["mask"][1:] == [64, 64, 1]
    assert all(shape[0] == "batch" for shape in shapes.values())
    backend = backends.open_file("onnx", small_model / "model.onnx")
    together = backend(pairs[0][:5], pairs[1][:5])
    apart = [backend(pairs[0][i : i + 1], pairs[1][i : i + 1]) for i in range(5)]
    for name in backend.outputs:
        np.testing.assert_array_equal(together[name], np.concatenate([one[name] for one in apart]))


def test_onnx_files_say_what_they_are(small_model, small_run, generator, tmp_path):
    """Producer, description and metadata; the licence of the weights from the model card or the caller."""
    model = onnx.load(small_model / "model.onnx")
    assert (model.producer_name, model.producer_version) == ("shiftnet_tf", __version__)
    assert "mask: uint8 [batch, 64, 64, 1], nonzero = hole" in model.doc_string
    expected = {"model_name": "small", "precision": "float32", "trained_on_masks": "center 1, rectangle 1, freeform 1"}
    assert {prop.key: prop.value for prop in model.metadata_props} == expected
    for card, given, expected in (("license: cc-by-4.0\ntags: [a]", None, "cc-by-4.0"), ("license: x", "MIT", "MIT")):
        run = shutil.copytree(small_run, tmp_path / expected)
        (run / "README.md").write_text(f"---\n{card}\n---\n# A model\nlicense: none\n")
        assert facts.describe(Run.open(run), generator, "int8", given)["model_license"] == expected
    assert facts.license_of(Run.open(model_folder.default_model())) == "apache-2.0"


def test_tflite_holds_builtins_alone(small_model):
    from ai_edge_litert.interpreter import Interpreter

    operations = {op["op_name"] for op in Interpreter(str(small_model / "model.tflite"))._get_ops_details()}
    assert operations and not any(name.startswith("Flex") or name == "CUSTOM" for name in operations)


def test_the_shift_map_points_at_known_positions(small_model, pairs):
    backend = backends.open_file("onnx", small_model / "model.onnx")
    shift_map = backend(*pairs)["shift_map"]
    assert shift_map.dtype == np.int32 and shift_map.shape == (20, 8, 8)
    for mask, one in zip(pairs[1], shift_map):
        filled = one >= 0
        sources = one[filled]
        assert (one[~filled] == -1).all() and (sources < 64).all()
        assert not filled.reshape(-1)[sources].any()  # a source is never itself a hole position
        assert filled.any() == (mask.mean() > 0)


@pytest.mark.parametrize("name", ["image", "mask"])
def test_the_graph_takes_any_nonzero_mask_value_and_any_image(generator, name, pairs):
    image, mask = pairs[0][:2], pairs[1][:2]
    plain = graph.inpaint(generator, image, mask)["inpainted_image"].numpy()
    if name == "mask":
        other = graph.inpaint(generator, image, mask * 255)["inpainted_image"].numpy()
    else:
        noise = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
        other = graph.inpaint(generator, np.where(mask, noise, image), mask)["inpainted_image"].numpy()
    np.testing.assert_array_equal(plain, other)
    np.testing.assert_array_equal(plain[mask[..., 0] == 0], image[mask[..., 0] == 0])


@pytest.mark.slow
@pytest.mark.parametrize("script", ["export_onnx", "export_tflite", "export_saved_model"])
def test_another_image_size_and_no_shift_map(small_run, few_photos, tmp_path, script):
    main = load_script(f"export/{script}").main
    arguments = [str(small_run), "--out", str(tmp_path), "--image-size", "128", "--photos", str(few_photos)]
    assert main(arguments) == 0
    ((name, entry),) = model_folder.ModelSpec.read(tmp_path).files.items()
    assert "-128" in name and entry.image_size == 128 and entry.outputs == ["inpainted_image"]
    assert entry.parity["equal_shifts"] is None


def test_from_python(small_run, few_photos, tmp_path):
    lines = []
    path = export_tflite(small_run, tmp_path / "model", precision="float16", photos=few_photos, log=lines.append)
    assert path == tmp_path / "model" / "model-float16.tflite" and len(lines) == 3
    entry = Inpainter.load(path).model.entry
    assert entry.precision == "float16" and entry.outputs == ["inpainted_image"]
    assert entry.parity["equal_shifts"] is not None  # by a twin with a shift map
    with pytest.raises(InputError, match="`precision` must be one of float32, float16, int8. Received: 'float8'"):
        export_onnx(small_run, precision="float8")


def test_bad_input_is_one_sentence(small_run, small_model, tmp_path, capsys, train):
    main = load_script("export/export_saved_model").main
    says(capsys, 2, "not a run folder", main([str(tmp_path)]))
    says(capsys, 2, "multiple of 16", main([str(small_run), "--out", str(tmp_path / "a"), "--image-size", "100"]))
    (tmp_path / "file").touch()
    says(capsys, 2, "cannot write to", main([str(small_run), "--out", str(tmp_path / "file" / "a")]))
    (tmp_path / "none").mkdir()
    result = main([str(small_run), "--out", str(tmp_path / "a"), "--photos", str(tmp_path / "none")])
    says(capsys, 2, "no usable photos", result)
    assert not (tmp_path / "a").exists()
    says(capsys, 2, "cannot write to", main([str(small_run), "--out", "/proc/nowhere"]))
    says(capsys, 2, "multiple of 16", main([str(small_run), "--image-size", "0"]))


def test_the_export_of_other_weights_is_not_mixed_in(small_run, small_model, tmp_path, capsys):
    spec = model_folder.ModelSpec.read(small_model)
    dataclasses.replace(spec, weights_sha256="0" * 64).write(tmp_path)
    main = load_script("export/export_saved_model").main
    says(capsys, 2, "holds an export of other weights", main([str(small_run), "--out", str(tmp_path)]))
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_a_file_that_computes_something_else_is_not_kept(small_run, few_photos, tmp_path, capsys, monkeypatch):
    main = load_script("export/export_saved_model").main

    def spoiled(generator, path, job):
        generator.decoder_ups[0].bias.assign(generator.decoder_ups[0].bias + 0.1)
        graph.write_saved_model(generator, path, with_shift_map=job.shift_map)
        generator.decoder_ups[0].bias.assign(generator.decoder_ups[0].bias - 0.1)

    monkeypatch.setattr(to_saved_model, "FORMAT", dataclasses.replace(to_saved_model.FORMAT, convert=spoiled))
    result = main([str(small_run), "--out", str(tmp_path), "--photos", str(few_photos)])
    says(capsys, 1, "does not compute what Keras computes", result)
    assert not list(tmp_path.iterdir())


def test_a_network_of_nan_is_refused(small_run, few_photos, tmp_path):
    """As uint8 its picture would be that of the file."""
    shutil.copytree(small_run, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    generator = run.load_generator()
    kernel = generator.decoder_ups[0].kernel
    kernel.assign(kernel.numpy() * np.nan)
    generator.save_weights(run.generator_weights)
    with pytest.raises(InputError, match="predicts values that are not finite; train it again"):
        export_onnx(run.path, tmp_path / "out", photos=few_photos)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_limits_of_parity():
    good = {"pairs": 20, "equal_shifts": 0.995, "compared_pairs": 15, "mean_difference": 0.01, "pixels_off": 0.0005}
    assert parity.within_limits(good) and parity.within_limits(good | {"equal_shifts": None})
    bad = ({"equal_shifts": 0.98}, {"compared_pairs": 0}, {"mean_difference": 0.06}, {"pixels_off": 0.002})
    for change in (*bad, {"mean_difference": float("nan")}):
        assert not parity.within_limits(good | change)


class Answers:
    """A backend that answers like Keras, with a change."""

    def __init__(self, generator, change, outputs=("inpainted_image", "shift_map")):
        self.generator, self.change, self.outputs = generator, change, outputs

    def __call__(self, image, mask):
        answer = graph.inpaint(self.generator, image, mask, with_shift_map=True)
        answer = {name: value.numpy() for name, value in answer.items()}
        self.change(answer, mask)
        return {name: answer[name] for name in self.outputs}


def another_source(answer, mask):
    """One position filled from elsewhere, and the picture changed there: what a near tie does."""
    filled = np.flatnonzero(answer["shift_map"] >= 0)
    answer["shift_map"].flat[filled[:1]] += 1
    answer["inpainted_image"][mask[..., 0] != 0] ^= 64


def test_what_parity_measures(generator, few_pairs):
    same = parity.measure(generator, Answers(generator, lambda answer, mask: None), few_pairs)
    assert same == {
        "pairs": 6,
        "equal_shifts": 1.0,
        "compared_pairs": 6,
        "mean_difference": 0.0,
        "max_difference": 0,
        "pixels_off": 0.0,
    }
    tied = parity.measure(generator, Answers(generator, another_source), few_pairs)
    assert tied["compared_pairs"] < 6 and tied["equal_shifts"] < 1 and tied["max_difference"] == 0


def test_without_a_shift_map_a_twin_tells_near_ties_from_errors(generator, few_pairs):
    blind = Answers(generator, another_source, outputs=("inpainted_image",))
    alone = parity.measure(generator, blind, few_pairs)
    assert alone["equal_shifts"] is None and alone["max_difference"] == 64
    helped = parity.measure(generator, blind, few_pairs, twin=Answers(generator, another_source))
    assert helped["equal_shifts"] < 1 and helped["compared_pairs"] < 6


def test_the_shift_map_is_that_of_the_connection_nearest_the_output(pairs):
    two = Generator(image_size=64, filters=4, depth=4, shift_layers=(3, 2))
    assert graph.inpaint(two, pairs[0][:1], pairs[1][:1], True)["shift_map"].shape == (1, 16, 16)


@pytest.mark.parametrize("name", ["model.onnx", "saved_model"])
def test_any_batch(small_model, pairs, name):
    backend = backends.open_file({"model.onnx": "onnx"}.get(name, name), small_model / name)
    assert backend(pairs[0][:3], pairs[1][:3])["inpainted_image"].shape == (3, 64, 64, 3)


@pytest.mark.slow
def test_a_network_of_real_size_with_weights_that_matter(tmp_path):
    """At 256x256 and 32x32 positions, where near ties occur: weights far from their small beginnings."""
    run = untrained_run(tmp_path / "run", filters=8)
    network = change_weights(run)
    for script in ("export_onnx", "export_tflite", "export_saved_model"):
        assert load_script(f"export/{script}").main([str(run.path), "--shift-map"]) == 0
    for entry in model_folder.ModelSpec.read(run.path / "export").files.values():
        assert entry.parity["equal_shifts"] >= 0.99 and entry.parity["compared_pairs"] >= 15
    photos, holes = parity.sample_pairs(PHOTOS / "train", 256, count=3)
    answer = graph.inpaint(network, photos, holes)["inpainted_image"].numpy()[holes[..., 0] != 0]
    assert answer.std() > 20  # not near grey


def test_a_file_that_changes_known_pixels_is_refused(generator, pairs):
    class Careless:
        outputs = ("inpainted_image",)

        def __call__(self, image, mask):
            answer = graph.inpaint(generator, image, mask)["inpainted_image"].numpy()
            return {"inpainted_image": answer ^ np.uint8(1)}

    with pytest.raises(ExportError, match="changes known pixels"):
        parity.measure(generator, Careless(), pairs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, name, precision, share",
    [
        ("export_onnx", "model-float16.onnx", "float16", 0.6),
        ("export_onnx", "model-int8.onnx", "int8", 0.5),
        ("export_tflite", "model-float16.tflite", "float16", 0.6),
        ("export_tflite", "model-dynamic.tflite", "dynamic", 0.5),
        ("export_tflite", "model-int8.tflite", "int8", 0.5),
    ],
)
def test_lower_precisions(
    wide_run, wide_model, few_photos, hundred_photos, tmp_path, monkeypatch, script, name, precision, share
):
    """Smaller files that lose little, each beside the others in one spec; the most precise is taken unless asked."""
    shutil.copytree(wide_model, tmp_path, dirs_exist_ok=True)
    if name == "model-int8.tflite":  # its calibration is slow; that of ONNX takes all the photos
        monkeypatch.setattr(exporter, "CALIBRATION_PHOTOS", (20, 20))
    arguments = [str(wide_run), "--out", str(tmp_path), "--photos", str(few_photos), "--shift-map"]
    arguments += ["--precision", precision] + ["--calibration-photos", str(hundred_photos)] * (precision == "int8")
    assert load_script(f"export/{script}").main(arguments) == 0
    spec = model_folder.ModelSpec.read(tmp_path)
    entry, whole = spec.files[name], spec.files[f"model{tmp_path.joinpath(name).suffix}"]
    assert (entry.precision, whole.precision) == (precision, "float32")
    sizes = [(tmp_path / file).stat().st_size for file in (name, f"model{tmp_path.joinpath(name).suffix}")]
    assert sizes[0] < share * sizes[1]
    measured = entry.parity
    assert measured["psnr_drop"] <= 0.2 and measured["equal_shifts"] > 0.5
    assert measured["psnr_to_keras"] > 30 and 0 < measured["mean_difference"] < 5
    if name.endswith(".onnx"):
        model = onnx.load(tmp_path / name)
        assert model.producer_name == "shiftnet_tf" and precision in [prop.value for prop in model.metadata_props]
    runtime = {".onnx": "onnxruntime", ".tflite": "litert"}[tmp_path.joinpath(name).suffix]
    assert Inpainter.load(tmp_path, runtime=runtime).model.entry == whole
    assert Inpainter.load(tmp_path, runtime=runtime, precision=precision).model.entry == entry


@pytest.mark.slow
def test_a_precision_that_loses_too_much_is_refused(small_run, few_photos, tmp_path, capsys):
    arguments = [str(small_run), "--out", str(tmp_path / "out"), "--photos", str(few_photos), "--shift-map"]
    arguments += ["--precision", "float16", "--max-psnr-drop", "-5"]
    result = load_script("export/export_tflite").main(arguments)
    says(capsys, 1, "more than the -5 allowed (max_psnr_drop), and was discarded", result)
    assert not (tmp_path / "out").exists()


def test_too_few_photos_for_int8_are_refused(small_run, tmp_path, capsys):
    main = load_script("export/export_onnx").main
    arguments = [str(small_run), "--out", str(tmp_path / "out"), "--precision", "int8"]
    says(capsys, 2, "no usable photos (JPEG, PNG, WebP)", main([*arguments, "--calibration-photos", str(tmp_path)]))
    few = PHOTOS / "train"  # of them 20 are compared on
    says(capsys, 2, "at least 100 photos", main([*arguments, "--calibration-photos", str(few)]))
    assert not (tmp_path / "out").exists()


def test_what_a_lower_precision_loses_is_measured(generator, few_pairs):
    def darker(answer, mask):
        hole = mask[..., 0] != 0
        answer["inpainted_image"][hole] = np.maximum(answer["inpainted_image"][hole], 40) - 40

    same = parity.measure_loss(generator, Answers(generator, lambda answer, mask: None), few_pairs)
    assert same["psnr_drop"] == 0 and same["psnr_to_keras"] > 75 and same["mean_difference"] == 0
    worse = parity.measure_loss(generator, Answers(generator, darker), few_pairs)
    assert worse["max_difference"] == 40 and 15 < worse["psnr_to_keras"] < 20 and worse["psnr_drop"] != 0
    assert worse["hole_psnr"] == pytest.approx(same["hole_psnr"] - worse["psnr_drop"])
