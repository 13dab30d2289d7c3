"""Fill a hole with patches of the known part, coherent with each other and with their surroundings.

In: image float32 [B, S, S, C] and mask float32 [B, S, S, 1], 1 = hole. Out: float32 [B, S, S, C], equal to the image at
known pixels. It has no weights, and nothing is random.

At 1/8 of the size and then at 1/4, two steps alternate, as in Wexler et al., Space-Time Completion of Video (2007):
each patch that touches the hole searches the most similar known patch, and each pixel of the hole becomes the average
of what the patches around it found, weighted toward those near the hole's edge. The coarse level compares with every
known patch, in one matrix product; the fine one tries only the offsets of neighbours, as in Barnes et al., PatchMatch
(2009), which also makes large pieces come from one place. Finally, pixels are copied from the positions that the fine
level found.

Convolutions with constant kernels cut and assemble the patches, so that everything converts to ONNX and TFLite
builtins. If no patch is entirely known, the membrane (see membrane.py) remains.
"""

import numpy as np
import tensorflow as tf

from shiftnet_tf.ops.membrane import membrane
from shiftnet_tf.ops.most_similar import NEVER, most_similar

SCOPE = "fill_from_patches"  # name scope of its operations in a graph
_COARSE, _COARSE_PATCH = 8, 7  # scale and patch size, in cells, of the level that compares with every known patch
_ROUNDS = 2  # of it
_FINE, _FINE_PATCH = 4, 5  # the same for the level that tries the offsets of neighbours
_CORE = 3  # cells: the core of a patch, which must be known for the patch to be used, and which votes
_STEPS = (2, 1)  # distance of the neighbours whose offsets it tries, round by round
_DECAY = 1.3  # factor by which a patch counts less for each cell deeper in the hole


def fill_from_patches(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Fill the hole with patches of the known part.

    Args:
        image: float32 [B, S, S, C]; content under the mask has no effect. S is static, a multiple of 16, at least 64.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 [B, S, S, C].
    """
    with tf.name_scope(SCOPE):
        smooth = membrane(image, mask)
        known = 1.0 - mask
        level = _Level(smooth, known, _COARSE, _COARSE_PATCH)
        for _ in range(_ROUNDS):
            offsets = level.search()
            values = level.vote(offsets)
        level = _Level(smooth, known, _FINE, _FINE_PATCH, values)
        offsets = tf.repeat(tf.repeat(2.0 * offsets, 2, axis=1), 2, axis=2)
        for i, step in enumerate(_STEPS):
            if i > 0:
                level.vote(offsets)
            offsets = level.propagate(offsets, step)
        return tf.where(mask > 0.5, level.copy(offsets, smooth), smooth)


class _Level:
    """The image at one scale: `values` [B, n, n, C], which never change in cells that are entirely known.

    An offset, float32 [B, n, n, 2] in rows and columns, leads from a patch to the one that supplies its pixels.
    """

    def __init__(
        self, smooth: tf.Tensor, known: tf.Tensor, scale: int, size: int, coarser: tf.Tensor | None = None
    ) -> None:
        self.scale, self.size = scale, size
        self.n, self.channels = smooth.shape[1] // scale, smooth.shape[-1]
        share = tf.nn.avg_pool2d(known, scale, scale, "VALID")
        self.known = tf.cast(share > 0.999, tf.float32)  # [B, n, n, 1]
        average = tf.nn.avg_pool2d(smooth * known, scale, scale, "VALID") / tf.maximum(share, 1e-3)
        begin = tf.nn.avg_pool2d(smooth, scale, scale, "VALID")
        if coarser is not None:
            begin = tf.where(share > 0.5, average, tf.image.resize(coarser, [self.n, self.n]))
        self.values = begin
        self.whole = 1.0 - tf.nn.max_pool2d(1.0 - self.known, _CORE, 1, "SAME")  # 1: the core around this cell is known
        self.confidence = _confidence(self.known, self.n)
        self.rows = tf.constant(np.indices((self.n, self.n)).transpose(1, 2, 0)[np.newaxis], tf.float32)

    def _patches(self, size: int) -> tf.Tensor:
        """Return the patch around each cell, reflected at the image's edge: [B, n * n, size * size * C]."""
        padded = _frame(self.values, size // 2, "REFLECT")
        kernel = _unit(size, self.channels)
        return tf.reshape(tf.nn.conv2d(padded, kernel, 1, "VALID"), [-1, self.n**2, kernel.shape[-1]])

    def search(self) -> tf.Tensor:
        """Return the offsets to the most similar of all known patches."""
        patches = self._patches(self.size)
        length = tf.reduce_sum(tf.square(patches), axis=-1)  # [B, N]
        missing = 1.0 - tf.reshape(self.whole, [-1, self.n**2])
        nearest = most_similar(patches, patches, 0.5 * length - NEVER * missing)  # that of the least distance, [B, N]
        place = tf.cast(tf.stack([nearest // self.n, nearest % self.n], axis=-1), tf.float32)
        offsets = tf.reshape(place, [-1, self.n, self.n, 2]) - self.rows
        return offsets * (1.0 - self.whole) * tf.reduce_max(self.whole, axis=[1, 2], keepdims=True)

    def propagate(self, offsets: tf.Tensor, step: int) -> tf.Tensor:
        """Return for each patch the best of its own offset and those of the eight neighbours `step` away."""
        patches = self._patches(self.size)
        padded = _frame(offsets, step, "REFLECT")
        n, shifts = self.n, (0, step, 2 * step)
        tried = tf.stack([padded[:, i : i + n, j : j + n] for i in shifts for j in shifts], axis=3)  # [B, n, n, 9, 2]
        index, whole = self._sources(tried)
        found = tf.reshape(tf.gather(patches, index, batch_dims=1), [-1, n * n, 9, patches.shape[-1]])
        distance = tf.reduce_sum(tf.square(found - patches[:, :, tf.newaxis]), axis=-1)  # [B, n * n, 9]
        score = NEVER * (1.0 - tf.reshape(whole, [-1, n * n, 9])) - distance
        best = tf.one_hot(tf.argmax(score, axis=-1), 9)[..., tf.newaxis]
        chosen = tf.reduce_sum(tf.reshape(tried, [-1, n * n, 9, 2]) * best, axis=2)
        return tf.reshape(chosen, [-1, n, n, 2]) * (1.0 - self.whole)

    def _sources(self, offsets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return where offsets [B, n, n, ..., 2] lead: index [B, M], and whether that patch is known, [B, M, 1]."""
        rows = tf.reshape(self.rows, [1, self.n, self.n, *[1] * (len(offsets.shape) - 4), 2])
        place = rows + offsets
        inside = tf.clip_by_value(place, 0.0, self.n - 1.0)
        count = int(np.prod(offsets.shape[1:-1]))
        index = tf.reshape(tf.cast(inside[..., 0] * self.n + inside[..., 1], tf.int32), [-1, count])
        whole = tf.gather(tf.reshape(self.whole, [-1, self.n**2, 1]), index, batch_dims=1)
        strayed = tf.reshape(tf.reduce_max(tf.abs(place - inside), axis=-1), [-1, count, 1])
        return index, tf.where(strayed > 0.0, tf.zeros_like(whole), whole)

    def vote(self, offsets: tf.Tensor) -> tf.Tensor:
        """Set each unknown cell to the average of the values that the patches around it supply."""
        index, whole = self._sources(offsets)
        weight = tf.reshape(self.confidence, [-1, self.n**2, 1]) * whole
        votes = tf.gather(self._patches(_CORE), index, batch_dims=1)
        votes = tf.concat([votes * weight, weight], axis=-1)
        votes = tf.reshape(votes, [-1, self.n, self.n, votes.shape[-1]])
        total = tf.nn.conv2d(votes, _voting(self.channels), 1, "SAME")  # C sums and the sum of the weights
        weights = total[..., self.channels :]
        average = total[..., : self.channels] / tf.maximum(weights, 1e-12)
        self.values = tf.where((self.known > 0.5) | (weights < 1e-12), self.values, average)
        return self.values

    def copy(self, offsets: tf.Tensor, smooth: tf.Tensor) -> tf.Tensor:
        """Return the image at full size, copied in overlapping windows of two cells, which are blended."""
        index, whole = self._sources(offsets)
        windows = self._windows(smooth)
        taken = tf.gather(windows, index, batch_dims=1)
        return self._blend(tf.where(whole > 0.5, taken, windows))

    def _windows(self, image: tf.Tensor) -> tf.Tensor:
        """Return the window around each cell, in four quarters: [B, n * n, 4 * scale * scale * C]."""
        cells = tf.nn.space_to_depth(
            _frame(image, self.scale // 2, "SYMMETRIC"), self.scale
        )  # [B, n + 1, n + 1, scale * scale * C]
        quarters = [cells[:, i : i + self.n, j : j + self.n] for i in (0, 1) for j in (0, 1)]
        return tf.reshape(tf.concat(quarters, axis=-1), [-1, self.n**2, 4 * cells.shape[-1]])

    def _blend(self, windows: tf.Tensor) -> tf.Tensor:
        """Invert `_windows`: overlapping windows are blended with weights that add up to 1."""
        bell = np.sin(np.pi * (np.arange(2 * self.scale) + 0.5) / (2 * self.scale)) ** 2
        weights = np.outer(bell, bell).reshape(2, self.scale, 2, self.scale, 1).transpose(0, 2, 1, 3, 4)
        weights = np.repeat(weights, self.channels, axis=-1).reshape(-1).astype(np.float32)
        windows = tf.reshape(windows * weights, [-1, self.n, self.n, weights.size])
        quarters = tf.split(windows, 4, axis=-1)
        cells = tf.add_n(
            [tf.pad(q, [[0, 0], [i, 1 - i], [j, 1 - j], [0, 0]]) for q, (i, j) in zip(quarters, np.ndindex(2, 2))]
        )
        half, end = self.scale // 2, self.scale // 2 + self.n * self.scale
        blended = tf.nn.depth_to_space(cells, self.scale)[:, half:end, half:end]
        total = np.ones(self.n * self.scale, np.float32)
        total[:half] = bell[half : self.scale]  # at the image's edge there is only one window
        total[-half:] = bell[self.scale : -half]
        return blended / total[:, np.newaxis, np.newaxis] / total[:, np.newaxis]


def _frame(image: tf.Tensor, reach: int, mode: str) -> tf.Tensor:
    return tf.pad(image, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode)


def _unit(size: int, channels: int) -> np.ndarray:
    """Return the kernel of a convolution that cuts patches: [size, size, C, size * size * C]."""
    return np.eye(size * size * channels, dtype=np.float32).reshape(size, size, channels, -1)


def _voting(channels: int) -> np.ndarray:
    """Return the kernel of a convolution that adds up cores and their weights: [3, 3, 9 * C + 1, C + 1]."""
    kernel = np.zeros((_CORE, _CORE, _CORE * _CORE * channels + 1, channels + 1), np.float32)
    kernel[:, :, :-1, :-1] = _unit(_CORE, channels).transpose(0, 1, 3, 2)[::-1, ::-1]
    kernel[:, :, -1, -1] = 1.0
    return kernel


def _confidence(known: tf.Tensor, n: int) -> tf.Tensor:
    """Return 1 at known cells, reduced by `_DECAY` per cell of distance to the nearest known one."""
    reach = 1
    while reach < n:
        width = 2 * reach + 1
        around = tf.nn.max_pool2d(tf.nn.max_pool2d(known, [width, 1], 1, "SAME"), [1, width], 1, "SAME")
        known = tf.maximum(known, around * _DECAY**-reach)
        reach *= 2
    return known
