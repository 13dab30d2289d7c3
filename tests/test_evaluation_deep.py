"""LPIPS and FID with random weights from a file, against calculations of their own; nothing is downloaded."""

import csv
import json
import pickle
import socket

import numpy as np
import pytest
from conftest import PHOTOS

from shiftnet_tf.errors import InputError
from shiftnet_tf.evaluation import Samples, baselines, deep, evaluate
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks.deep_distance import frechet_distance
from shiftnet_tf.photos import finding, image_files, pixels

torch = pytest.importorskip("torch")
# A torchvision that was built for another torch fails with a RuntimeError.
torchvision, lpips, torch_fidelity = (
    pytest.importorskip(name, exc_type=(ImportError, RuntimeError))
    for name in ("torchvision", "lpips", "torch_fidelity")
)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a measure looked for a host")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    """Files of random weights, named as torchvision names them, by what LPIPS calls the network."""
    folder = tmp_path_factory.mktemp("trunks")
    torch.manual_seed(0)
    layers = {"alex": torchvision.models.alexnet().features, "vgg": torchvision.models.vgg16().features}
    for name, features in layers.items():
        torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, folder / f"{name}.pth")
    return folder, layers


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A file of random weights of FID's network."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *arguments, **options: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda network, weights: None)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    for weight in network.parameters():
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")  # features that do not vanish
    torch.save(network.state_dict(), path)
    return path


def photo_pair():
    image = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")[100:196, 200:328]
    return image, baselines.baseline("telea")(image, pixels.resize_mask(sampling.center(256), 96, 128))


@pytest.mark.parametrize("name, after", [("alex", (1, 4, 7, 9, 11)), ("vgg", (3, 8, 15, 22, 29))])
def test_lpips_by_its_definition(trunks, name, after):
    folder, layers = trunks
    column, distance = deep.load_lpips(folder / f"{name}.pth")
    image, inpainted = photo_pair()
    scores = torch.load(f"{lpips.__path__[0]}/weights/v0.1/{name}.pth", map_location="cpu")
    sides = []
    for photo in (image, inpainted):
        levels = (photo / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]  # as for ImageNet
        x = torch.tensor(levels.transpose(2, 0, 1)[np.newaxis], dtype=torch.float32)
        sides.append([])
        for i, layer in enumerate(layers[name]):
            x = layer(x)
            if i in after:
                sides[-1].append(x[0].detach().numpy())
    expected = 0.0
    for i, pair in enumerate(zip(*sides, strict=True)):
        true, filled = (x / np.linalg.norm(x, axis=0) for x in pair)
        weights = scores[f"lin{i}.model.1.weight"].numpy()[0]
        expected += (weights * (true - filled) ** 2).sum(axis=0).mean()
    assert column == f"lpips_{name}"
    assert distance(image, inpainted, None) == pytest.approx(expected, rel=1e-3) and expected > 1e-4
    assert distance(image, image, None) == 0


@pytest.mark.slow
def test_the_table_has_lpips_and_the_fid_of_torch_fidelity(trunks, inception, few_photos, tmp_path):
    samples = Samples(images=few_photos, size=96)
    evaluate(tmp_path, samples, baselines=["telea"], lpips=trunks[0] / "alex.pth", fid=inception)
    summary = json.loads((tmp_path / "results.json").read_text())["all"]
    assert "| lpips_alex | fid |" in (tmp_path / "table.md").read_text()
    with open(tmp_path / "results.csv", newline="") as file:
        rows = [float(row["lpips_alex"]) for row in csv.DictReader(file)]
    assert summary["telea"]["lpips_alex"] == pytest.approx(np.mean(rows)) and min(rows) > 0

    mask = pixels.resize_mask(sampling.center(256), 96, 96)
    for name in ("true", "filled"):
        (tmp_path / name).mkdir()
    for path in finding.find_photos(few_photos):
        image = samples.read(path)
        image_files.write_image(tmp_path / "true" / f"{path.stem}.png", image)
        image_files.write_image(tmp_path / "filled" / f"{path.stem}.png", baselines.baseline("telea")(image, mask))
    folders = {"input1": str(tmp_path / "true"), "input2": str(tmp_path / "filled")}
    measured = torch_fidelity.calculate_metrics(
        **folders, fid=True, feature_extractor_weights_path=str(inception), cuda=False, cache=False, verbose=False
    )
    assert summary["telea"]["fid"] == pytest.approx(measured["frechet_inception_distance"], rel=1e-3)
    assert summary["telea"]["fid"] > 0


def test_the_fid_of_equal_photos_is_0(inception):
    embed = deep.load_inception(inception)
    features = np.stack([embed(image, None) for image in photo_pair()])
    assert features.shape == (2, 2048) and frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features[:, ::-1]) > 0


class _RunsCode:
    def __reduce__(self):
        return print, ("code of a file has run",)


@pytest.mark.parametrize("load", [deep.load_lpips, deep.load_inception])
def test_files_that_cannot_be_used(load, trunks, inception, tmp_path, capsys):
    with pytest.raises(InputError, match=r"does not exist: .*none\.pth"):
        load(tmp_path / "none.pth")
    other = trunks[0] / "alex.pth" if load is deep.load_inception else inception
    with pytest.raises(InputError, match="does not hold"):
        load(other)
    part = {"features.0.weight": torch.zeros(64, 3, 11, 11)}
    torch.save(part, tmp_path / "part.pth")
    with pytest.raises(InputError, match="does not hold"):
        load(tmp_path / "part.pth")
    (tmp_path / "code.pth").write_bytes(pickle.dumps({"x": _RunsCode()}))
    with pytest.raises(InputError, match="checkpoint"):
        load(tmp_path / "code.pth")
    assert "has run" not in capsys.readouterr().out
