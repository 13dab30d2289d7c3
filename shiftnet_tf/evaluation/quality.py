"""How good an inpainted photo is beside the true one: the numbers of a paper's table, each on uint8 photos.

PSNR and SSIM are scikit-image's. The texture distance needs no trained network: it compares what small patches look
like, wherever they lie, so that a blur scores high (bad) even where its PSNR is good.
"""

import numpy as np

from shiftnet_tf.system.packages import import_optional

_PATCH = 7  # pixels
_PATCHES = 1024
_DIRECTIONS = 256
_LIMIT = 100.0  # dB, of equal photos: keeps a mean over photos finite

HIGHER_IS_BETTER = {
    "psnr": True,
    "hole_psnr": True,
    "ssim": True,
    "hole_ssim": True,
    "l1": False,
    "hole_l1": False,
    "l2": False,
    "hole_l2": False,
    "texture_distance": False,
}


def center_crop(photo: np.ndarray, size: int) -> np.ndarray | None:
    """Return the centre of a photo that is scaled down as for the paper's measurements.

    Args:
        photo: uint8 [H, W, 3].
        size: height and width of the crop in pixels.

    Returns:
        uint8 [size, size, 3] of the photo with its short side scaled to 350/256 of `size`, never enlarged; None where
        it is smaller than the crop.

    Raises:
        MissingPackageError: opencv-python-headless is not installed.
    """
    cv2 = import_optional("cv2", "opencv-python-headless", "scaling photos for a measurement")
    factor = round(size * 350 / 256) / min(photo.shape[:2])
    if factor < 1:
        height, width = (round(side * factor) for side in photo.shape[:2])
        photo = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA))
    top, left = ((side - size) // 2 for side in photo.shape[:2])
    return photo[top : top + size, left : left + size] if min(top, left) >= 0 else None


def measure(image: np.ndarray, inpainted: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """All numbers of one photo.

    Args:
        image: uint8 [H, W, 3], the truth; H and W at least 7.
        inpainted: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole; with a hole.

    Returns:
        `psnr` in dB, `ssim`, `l1` (mean absolute difference in grey levels), `l2` (mean squared difference, grey levels
        squared), each of the whole photo and, as `hole_...`, of the hole's pixels alone; `texture_distance` of the hole
        in grey levels.

    Raises:
        MissingPackageError: scikit-image is not installed.
    """
    skimage = import_optional("skimage.metrics", "scikit-image", "measuring SSIM")
    hole = mask != 0
    difference = image.astype(np.float64) - inpainted
    ssim, ssim_map = skimage.structural_similarity(image, inpainted, channel_axis=-1, full=True)  # float, [H, W, 3]
    values = {"ssim": float(ssim), "hole_ssim": float(ssim_map[hole].mean())}
    for prefix, region in (("", np.ones_like(hole)), ("hole_", hole)):
        values[f"{prefix}psnr"] = psnr(image, inpainted, region)
        values[f"{prefix}l1"] = float(np.abs(difference[region]).mean())
        values[f"{prefix}l2"] = float((difference[region] ** 2).mean())
    values["texture_distance"] = texture_distance(image, inpainted, mask)
    return {name: values[name] for name in HIGHER_IS_BETTER}


def psnr(image: np.ndarray, inpainted: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio.

    Args:
        image, inpainted: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole: only its pixels are compared; None for all.

    Returns:
        dB, at most 100.

    Raises:
        MissingPackageError: scikit-image is not installed.
    """
    skimage = import_optional("skimage.metrics", "scikit-image", "measuring PSNR")
    if mask is not None:
        image, inpainted = image[mask != 0], inpainted[mask != 0]
    if np.array_equal(image, inpainted):
        return _LIMIT
    return min(_LIMIT, float(skimage.peak_signal_noise_ratio(image, inpainted)))


def texture_distance(image: np.ndarray, inpainted: np.ndarray, mask: np.ndarray) -> float:
    """Sliced Wasserstein distance of the mean-free 7x7 patches of the hole's bounding box.

    1,024 patches at random places of the box, the same in both photos, each less its own mean in each channel, are
    projected on 256 random unit vectors; the distance is the mean absolute difference of the sorted projections.
    All is drawn from one fixed seed.

    Args:
        image, inpainted: uint8 [H, W, 3]; H and W at least 7.
        mask: [H, W], nonzero = hole.

    Returns:
        Grey levels; 0 is equal texture. A box below 7 pixels is enlarged to 7.
    """
    rng = np.random.default_rng(0)
    corners = []
    for axis, size in ((1, mask.shape[0]), (0, mask.shape[1])):
        touched = np.flatnonzero((mask != 0).any(axis=axis))
        first, last = touched[0], max(touched[-1] - _PATCH + 1, touched[0])
        first, last = (min(place, size - _PATCH) for place in (first, last))
        corners.append(rng.integers(first, last, size=_PATCHES, endpoint=True))
    directions = rng.normal(size=(_PATCH * _PATCH * 3, _DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    projections = [np.sort(_patches(photo, *corners) @ directions, axis=0) for photo in (image, inpainted)]
    return float(np.abs(projections[0] - projections[1]).mean())


def _patches(photo: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mean-free patches [N, 7 * 7 * 3] at these corners."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (_PATCH, _PATCH), axis=(0, 1))  # [h, w, 3, 7, 7]
    patches: np.ndarray = windows[rows, columns].astype(np.float64)
    patches -= patches.mean(axis=(-2, -1), keepdims=True)
    return patches.reshape(len(patches), -1)
