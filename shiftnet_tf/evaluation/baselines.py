"""Classical inpainting, behind the call of `Inpainter`: (image uint8 [H, W, 3], mask [H, W]) -> uint8 [H, W, 3].

What a user gets without any training, for comparison. Each package is imported on use.
"""

from collections.abc import Callable

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import pixels
from shiftnet_tf.system.packages import import_optional

_RADIUS = 5  # pixels around a point that OpenCV's two methods look at
_PATCH = 5  # pixels, of PatchMatch
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def telea(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill by fast marching (Telea, 2004), with OpenCV and a radius of 5 pixels."""
    cv2 = import_optional("cv2", "opencv-python-headless", "the baseline telea")
    return np.asarray(cv2.inpaint(image, (mask != 0).astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA))


def navier_stokes(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill by Navier-Stokes equations (Bertalmio et al., 2001), with OpenCV and a radius of 5 pixels."""
    cv2 = import_optional("cv2", "opencv-python-headless", "the baseline ns")
    return np.asarray(cv2.inpaint(image, (mask != 0).astype(np.uint8), _RADIUS, cv2.INPAINT_NS))


def biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill by biharmonic equations (Damelin and Hoang, 2018), with scikit-image."""
    skimage = import_optional("skimage.restoration", "scikit-image", "the baseline biharmonic")
    filled = skimage.inpaint_biharmonic(image, mask != 0, channel_axis=-1)
    return np.clip(np.round(np.asarray(filled) * 255), 0, 255).astype(np.uint8)


def patchmatch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill by PatchMatch (Barnes et al., 2009), with PyPatchMatch, patches of 5 pixels and a fixed seed."""
    package = import_optional("patchmatch.patch_match", "PyPatchMatch", "the baseline patchmatch")
    if not package.patchmatch_available:
        raise InputError("the baseline patchmatch cannot run: the PyPatchMatch library does not load on this machine")
    package.set_random_seed(0)
    return np.asarray(package.inpaint(image, (mask != 0).astype(np.uint8), patch_size=_PATCH))


_METHODS = {"telea": telea, "ns": navier_stokes, "biharmonic": biharmonic, "patchmatch": patchmatch}


def baseline(name: str) -> Method:
    """Return a classical method by its name.

    Args:
        name: `"telea"`, `"ns"`, `"biharmonic"` or `"patchmatch"`.

    Returns:
        Function of image uint8 [H, W, 3] and mask [H, W], nonzero = hole; it returns uint8 [H, W, 3] with known pixels
        unchanged.

    Raises:
        InputError: another name.
    """
    if name not in _METHODS:
        raise InputError(f"a baseline must be one of {', '.join(_METHODS)}. Received: {name!r}")
    return lambda image, mask: pixels.composite(_METHODS[name](image, mask), image, mask)
