"""A model folder from a stranger: what its spec names, how large it is, and what its model answers."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from conftest import ROOT

from shiftnet_tf import Inpainter, model_folder
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.runtime import FillOptions

NAME = "model-int8.onnx"
HUGE = 10**4000


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model, of one file."""
    (tmp_path / "model").mkdir()
    for name in (NAME, "spec.json"):
        shutil.copy(ROOT / "saved_models" / "compact" / name, tmp_path / "model")
    change_spec(tmp_path / "model")
    return tmp_path / "model"


def change_spec(folder, of_file=None, **values):
    spec = json.loads((folder / "spec.json").read_text())
    spec["files"] = {NAME: spec["files"][NAME] | (of_file or {})}
    (folder / "spec.json").write_text(json.dumps(spec | values))


def rename(folder, name):
    entry = json.loads((folder / "spec.json").read_text())["files"][NAME]
    change_spec(folder, files={name: entry})


def refuses(folder, message, error=InputError):
    """The message is one sentence of one line, short enough for a terminal."""
    with pytest.raises(error, match=message) as raised:
        Inpainter.load(folder)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 1200


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../model/" + NAME, "a/b.onnx", "/dev/zero", "C:x.onnx", "..\\x.onnx", "a\0b", "spec.json"]
)
def test_a_file_lies_in_the_folder_itself(folder, name):
    rename(folder, name)
    refuses(folder, "is damaged .model files must be in the model folder itself. Received: ")


def test_an_absolute_path_is_refused_even_where_it_leads_into_the_folder(folder):
    rename(folder, str(folder / NAME))
    refuses(folder, "model files must be in the model folder itself")


@pytest.mark.parametrize("name", [NAME, "spec.json"])
def test_a_link_out_of_the_folder_is_refused(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    refuses(folder, f"{name} is a symbolic link out of ")


def test_a_link_within_the_folder_is_taken(folder):
    """Kubernetes mounts a ConfigMap that way."""
    (folder / "..data").mkdir()
    for name in (NAME, "spec.json"):
        (folder / name).rename(folder / "..data" / name)
        (folder / name).symlink_to(f"..data/{name}")
    assert Inpainter.load(folder).model.path == folder / NAME


def test_a_folder_that_is_a_link_itself_is_taken(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert Inpainter.load(tmp_path / "link").model.path.name == NAME


@pytest.mark.parametrize("name", [NAME, "spec.json"])
def test_a_fifo_is_refused_and_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refuses(folder, f"{name} is not a regular file")


def test_a_device_is_refused(folder):
    (folder / NAME).unlink()
    (folder / NAME).symlink_to("/dev/zero")
    refuses(folder, "is a symbolic link out of")


def test_a_link_to_itself_is_refused(folder):
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(NAME)
    refuses(folder, "which does not exist")


def test_a_spec_of_more_than_a_megabyte_is_not_read(folder):
    with open(folder / "spec.json", "ab") as file:
        file.truncate(2**20)
    refuses(folder, "is damaged")  # read: nulls after the JSON
    with open(folder / "spec.json", "ab") as file:
        file.truncate(2**40)  # of no blocks on the disk
    refuses(folder, "spec.json is too large: at least 1,099,511,627,776 bytes, the limit is 1,048,576")


def test_a_model_file_of_more_than_four_gigabytes_is_not_read(folder):
    with open(folder / NAME, "ab") as file:
        file.truncate(2**32 + 1)
    refuses(folder, "at least 4,294,967,297 bytes, the limit is 4,294,967,296")


def test_a_file_of_the_other_kind_is_refused(folder):
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    refuses(folder, "is not a file: export it again")


def test_what_a_saved_model_holds_is_checked_before_it_is_read(tmp_path):
    saved, entry = (
        tmp_path / "folder" / "saved_model",
        json.loads((ROOT / "saved_models/compact/spec.json").read_text()),
    )
    entry = model_folder.FileEntry(**entry["files"][NAME] | {"format": "saved_model"})
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").touch()
    with pytest.raises(InputError, match="is not the exported file"):
        model_folder.verify_file(saved, entry)
    for name, make, message in (
        ("fifo", os.mkfifo, "fifo is not a regular file"),
        ("assets", lambda path: path.symlink_to(saved / "variables"), "assets is a symbolic link to a folder"),
        ("more", lambda path: path.symlink_to("/etc/passwd"), "more is a symbolic link out of"),
        ("absent", lambda path: path.symlink_to("nothing"), "cannot read .*absent"),
    ):
        make(saved / "variables" / name)
        with pytest.raises(InputError, match=message):
            model_folder.verify_file(saved, entry)
        (saved / "variables" / name).unlink()


@pytest.mark.parametrize(
    "of_file",
    [
        {"image_size": 8193},
        {"image_size": HUGE},
        {"image_size": True},
        {"image_size": 1e9},
        {"batch": 0},
        {"batch": -1},
        {"batch": 1025},
        {"batch": True},
        {"outputs": ["inpainted_image", "more"]},
        {"outputs": ["inpainted_image", {}]},
        *(
            {"parity": {"pairs": 1, "mean_difference": value, "max_difference": 1}}
            for value in (HUGE, 1e9, -1, float("nan"))
        ),
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_number_of_a_file_out_of_its_range(folder, of_file):
    change_spec(folder, of_file)
    refuses(folder, "is damaged .invalid file entry|is damaged .unhashable")


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 8193},
        {"image_size": HUGE},
        {"masks": {"center": HUGE}},
        {"masks": {"center": float("nan")}},
        {"format_version": True},
        {"format_version": 1.0},
        {"format_version": "1"},
        {"files": []},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_value_of_the_spec_out_of_its_range(folder, values):
    change_spec(folder, **values)
    refuses(folder, "is damaged")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "1" * 5000, '{"format_version": 1e999}', "\ud800"])
def test_json_that_stops_parsers(folder, text):
    (folder / "spec.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refuses(folder, "is damaged|newer than")


def write_model(folder, outputs, image_size=256, names=("image", "mask")):
    """Put an ONNX model into a folder that answers these arrays to a batch of one, listed with its right SHA-256."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    inputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", 256, 256, channels])
        for name, channels in zip(names, (3, 1))
    ]
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), [None] * values.ndim)
        for name, values in outputs.items()
    ]
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))
        for name, values in outputs.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "wrong", inputs, results), opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    checker.check_model(model)
    save(model, folder / NAME)
    sha256 = model_folder.sha256(folder / NAME)
    listed = [name for name in outputs if name in model_folder.OUTPUTS]
    change_spec(folder, {"sha256": sha256, "image_size": image_size, "outputs": listed or ["inpainted_image"]})
    return folder


RIGHT = np.zeros((1, 256, 256, 3), np.uint8)
MAP = np.zeros((1, 32, 32), np.int32)


def fill(folder):
    image, mask = np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), bool)
    mask[100:140, 100:140] = True
    return Inpainter.load(folder, runtime="onnxruntime").inpaint(image, mask, FillOptions(detail="model"))


def test_a_model_that_answers_right_is_taken(folder):
    assert fill(write_model(folder, {"inpainted_image": RIGHT, "shift_map": MAP})).image.shape == (256, 256, 3)


@pytest.mark.parametrize(
    "outputs, message",
    [
        ({"inpainted_image": RIGHT[:, :255]}, r"inpainted_image must be uint8 \[1, 256, 256, 3\]. Received: uint8"),
        ({"inpainted_image": RIGHT[..., :1]}, r"Received: uint8 \[1, 256, 256, 1\]"),
        ({"inpainted_image": np.repeat(RIGHT, 2, axis=0)}, r"Received: uint8 \[2, 256, 256, 3\]"),
        ({"inpainted_image": RIGHT[0]}, r"Received: uint8 \[256, 256, 3\]"),
        ({"inpainted_image": RIGHT.astype(np.float32)}, "Received: float32"),
        ({"inpainted_image": RIGHT, "shift_map": MAP[0]}, r"shift_map must be int32 \[1, h, w\] .* int32 \[32, 32\]"),
        ({"inpainted_image": RIGHT, "shift_map": MAP.astype(np.int64)}, "Received: int64"),
        ({"inpainted_image": RIGHT, "shift_map": MAP[:, :0]}, r"Received: int32 \[1, 0, 32\]"),
        ({"inpainted_image": RIGHT, "shift_map": MAP + 2048}, "from -1 to 2 "),
        ({"inpainted_image": RIGHT, "shift_map": MAP - 2}, "from -1 to 2 "),
    ],
)
def test_a_wrong_answer_is_not_used(folder, outputs, message):
    with pytest.raises(ShiftNetError, match=message) as raised:
        fill(write_model(folder, outputs))
    assert "\n" not in str(raised.value)


def test_a_model_without_the_outputs_of_its_spec_is_not_opened(folder):
    write_model(folder, {"other": RIGHT})
    refuses(folder, "has no output inpainted_image, which its spec lists: export the model again")


@pytest.mark.parametrize("change", [{"image_size": 128}, {"names": ("picture", "mask")}])
def test_a_model_that_takes_other_inputs_ends_in_a_sentence(folder, change):
    with pytest.raises(ShiftNetError, match="ONNX Runtime failed on a batch of 1: ") as raised:
        fill(write_model(folder, {"inpainted_image": RIGHT}, **change))
    assert "\n" not in str(raised.value)


def test_the_answers_of_groups_are_checked_too(folder):
    grouped = Inpainter.load(write_model(folder, {"inpainted_image": RIGHT[:, :255]})).grouped()
    image, mask = np.zeros((256, 256, 3), np.uint8), np.eye(256, dtype=bool)
    with pytest.raises(ShiftNetError, match="inpainted_image must be uint8"):
        grouped(image, mask, FillOptions(detail="model"))
    grouped.close()


def test_the_bundled_models_spec_is_written_as_it_was_read(tmp_path):
    spec = model_folder.ModelSpec.read(model_folder.default_model())
    dataclasses.replace(spec).write(tmp_path)
    assert model_folder.ModelSpec.read(tmp_path) == spec
