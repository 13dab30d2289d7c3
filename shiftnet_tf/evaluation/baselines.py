"""Classical inpainting, behind the call of `Inpainter`: (image uint8 [H, W, 3], mask [H, W]) -> uint8 [H, W, 3].

What a user would have without any training, to compare with. Each package is imported on use.
"""

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import pixels
from shiftnet_tf.system.packages import import_optional

_RADIUS = 5  # pixels around a point that OpenCV's two methods look at
_PATCH = 5  # pixels, of PatchMatch


def telea(image, mask):
    """Fast marching (Telea, 2004), OpenCV, radius 5."""
    cv2 = import_optional("cv2", "opencv-python-headless", "the baseline telea")
    return cv2.inpaint(image, (mask != 0).astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA)


def navier_stokes(image, mask):
    """Fluid dynamics (Bertalmio et al., 2001), OpenCV, radius 5."""
    cv2 = import_optional("cv2", "opencv-python-headless", "the baseline ns")
    return cv2.inpaint(image, (mask != 0).astype(np.uint8), _RADIUS, cv2.INPAINT_NS)


def biharmonic(image, mask):
    """Biharmonic equations (Damelin and Hoang, 2018), scikit-image."""
    skimage = import_optional("skimage.restoration", "scikit-image", "the baseline biharmonic")
    filled = skimage.inpaint_biharmonic(image, mask != 0, channel_axis=-1)
    return np.clip(np.round(filled * 255), 0, 255).astype(np.uint8)


def patchmatch(image, mask):
    """PatchMatch (Barnes et al., 2009), the package PyPatchMatch, patch size 5, one fixed seed."""
    package = import_optional("patchmatch.patch_match", "PyPatchMatch", "the baseline patchmatch")
    if not package.patchmatch_available:
        raise InputError("the baseline patchmatch cannot run: the PyPatchMatch library does not load on this machine")
    package.set_random_seed(0)
    return package.inpaint(image, (mask != 0).astype(np.uint8), patch_size=_PATCH)


_METHODS = {"telea": telea, "ns": navier_stokes, "biharmonic": biharmonic, "patchmatch": patchmatch}


def baseline(name):
    """A classical method by its name.

    Args:
        name: `"telea"`, `"ns"`, `"biharmonic"` or `"patchmatch"`.

    Returns:
        function (image uint8 [H, W, 3], mask [H, W], nonzero = hole) -> uint8 [H, W, 3], known pixels unchanged.

    Raises:
        InputError: another name.
    """
    if name not in _METHODS:
        raise InputError(f"a baseline must be one of {', '.join(_METHODS)}. Received: {name!r}")
    return lambda image, mask: pixels.composite(_METHODS[name](image, mask), image, mask)
