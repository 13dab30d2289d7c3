"""Measures by trained networks: deep features, LPIPS and FID.

LPIPS and FID are those of the packages `lpips` and `torch-fidelity`, with weights from files of the user's: nothing is
downloaded. Their networks run in PyTorch, on the CPU.
"""

import contextlib
import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.networks import deep_distance, load_efficientnet_lite
from shiftnet_tf.networks.from_torch import read_state_dict
from shiftnet_tf.system.packages import import_optional

if TYPE_CHECKING:
    import torch

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
Embedding = Callable[[np.ndarray, np.ndarray], np.ndarray]

DEEP_MEASURES = dict.fromkeys(
    ("deep_distance", "lpips_alex", "lpips_vgg", "lite2_frechet", "fid"), False
)  # lower is better
# By the shape of the first kernel.
_TRUNKS: dict[tuple[int, ...], str] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}


@dataclasses.dataclass(frozen=True)
class DeepMeasures:
    """Measures by trained networks, each by the name of its column.

    Attributes:
        distances: functions of image uint8 [H, W, 3], inpainted uint8 [H, W, 3] and mask [H, W].
        embeddings: functions of photo uint8 [H, W, 3] and mask [H, W], which return float64 [C]; the measure is the
            Frechet distance of the embeddings of all true photos and of all inpainted ones.
    """

    distances: dict[str, Distance] = dataclasses.field(default_factory=dict)
    embeddings: dict[str, Embedding] = dataclasses.field(default_factory=dict)


def load_deep_measures(
    deep: bool = False, lpips: str | os.PathLike[str] | None = None, fid: str | os.PathLike[str] | None = None
) -> DeepMeasures:
    """Load the networks of the measures that are asked for.

    Args:
        deep: whether to measure the deep features of EfficientNet-Lite2 on the hole's box: `deep_distance` and
            `lite2_frechet`.
        lpips: torchvision's ImageNet weights of AlexNet (`lpips_alex`) or VGG16 (`lpips_vgg`), see `load_lpips`.
        fid: the Inception weights of FID (`fid`), see `load_inception`.

    Raises:
        InputError: a file of weights is absent or holds other weights.
        MissingPackageError: a package is absent.
    """
    measures = DeepMeasures()
    if deep:
        network = load_efficientnet_lite(2)
        measures.distances["deep_distance"] = functools.partial(deep_distance.deep_distance, network=network)
        measures.embeddings["lite2_frechet"] = functools.partial(deep_distance.pooled_features, network=network)
    if lpips is not None:
        name, measures_lpips = load_lpips(lpips)
        measures.distances[name] = measures_lpips
    if fid is not None:
        measures.embeddings["fid"] = load_inception(fid)
    return measures


def load_lpips(path: str | os.PathLike[str]) -> tuple[str, Distance]:
    """LPIPS 0.1 of whole photos (Zhang et al., 2018, arXiv 1801.03924).

    Args:
        path: file of the network's ImageNet weights as torchvision has them: AlexNet's `alexnet-owt-7be5be79.pth` or
            VGG16's `vgg16-397923af.pth`. The weights of LPIPS itself are part of the package `lpips`.

    Returns:
        `"lpips_alex"` or `"lpips_vgg"`, and the distance.

    Raises:
        InputError: there is no such file, or it holds other weights.
        MissingPackageError: torch or lpips is not installed.
    """
    package = _import("lpips", "lpips", "measuring LPIPS")
    weights = {name: _tensor(array) for name, array in read_state_dict(path).items()}
    with _holds(path, "torchvision's weights of AlexNet or VGG16"):
        trunk = _TRUNKS[tuple(weights["features.0.weight"].shape)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchvision, about how lpips calls it
            network = package.LPIPS(net=trunk, pnet_rand=True, verbose=False)  # no download
        names = network.net.state_dict()  # such as slice2.3.bias, in the file features.3.bias
        network.net.load_state_dict({name: weights["features." + name.partition(".")[2]] for name in names})
    network.requires_grad_(False)

    def distance(image: np.ndarray, inpainted: np.ndarray, mask: np.ndarray) -> float:
        return float(network(*(_images(photo) / 127.5 - 1.0 for photo in (image, inpainted))))

    return f"lpips_{trunk}", distance


def load_inception(path: str | os.PathLike[str]) -> Embedding:
    """Return a function that computes a whole photo's 2,048 features of FID (Heusel et al., 2017, arXiv 1706.08500).

    Args:
        path: file of the weights of TensorFlow's Inception of 2015-12-05 in PyTorch, as torch-fidelity and pytorch-fid
            have them: `weights-inception-2015-12-05-6726825d.pth` or `pt_inception-2015-12-05-6726825d.pth`.

    Returns:
        Function of a photo and its mask, which it ignores.

    Raises:
        InputError: there is no such file, or it holds other weights.
        MissingPackageError: torch or torch-fidelity is not installed.
    """
    package = _import("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity", "measuring FID")
    read_state_dict(path)  # refuses what is not tensors alone: the package would run code that the file holds
    with _holds(path, "the Inception weights of FID"):
        network = package.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))

    def embed(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(network(_images(photo))[0][0].double())

    return embed


def _import(module: str, package: str, needed_for: str) -> ModuleType:
    try:
        return import_optional(module, package, needed_for)
    except RuntimeError as error:  # of torchvision, which both packages import
        cure = "install both from the same index"
        raise InputError(f"torchvision does not fit the installed torch ({first_line(error)}): {cure}") from error


@contextlib.contextmanager
def _holds(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Refuse a file whose tensors are others than those of the network that is built."""
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{path} does not hold {what}") from error


def _images(photo: np.ndarray) -> "torch.Tensor":
    """uint8 [H, W, 3] -> uint8 [1, 3, H, W]."""
    return _tensor(photo.transpose(2, 0, 1)[np.newaxis].copy())


def _tensor(array: np.ndarray) -> "torch.Tensor":
    tensor: torch.Tensor = import_optional("torch", "torch", "measuring LPIPS and FID").from_numpy(array)
    return tensor
