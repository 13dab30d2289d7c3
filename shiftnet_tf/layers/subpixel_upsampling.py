"""The 4x4, stride 2 transposed convolution as one fast 2x2 convolution.

[B, H, W, C] -> [B, 2H, 2W, filters], exactly as a transposed convolution with kernel 4, stride 2 and padding 1
(Table 2's deconvolutions). In one dimension, with kernel k_0 .. k_3,

    output[2m]     = k_3 x[m - 1] + k_1 x[m]
    output[2m + 1] = k_2 x[m]     + k_0 x[m + 1]

so both are two-tap convolutions of x padded by 1, at position p = m for the even and p = m + 1 for the odd outputs. In
two dimensions, one 2x2 convolution with 4 * filters channels computes all four phases (Shi et al., 2016, arXiv
1609.05158). With the odd phase first, depth_to_space puts output[2p - 1] and output[2p] side by side, which is the
upsampled image with a border of 1 to cut off. Every runtime has tuned kernels for this convolution, while transposed
convolutions are slow.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shiftnet_tf.layers.conv2d import convolve, crop

_TAPS = ((2, 0), (3, 1))  # odd and even outputs -> the transposed kernel's taps for the earlier and the later input


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class SubpixelUpsampling(keras.layers.Layer):
    """Doubles height and width with a learned 4x4 kernel.

    Args:
        filters: output channels.
        smooth: whether to blur the result by (1, 2, 1) / 4 along rows and columns, so that uniform features give
            a uniform result: the network then cannot use patterns of 2 pixels (or, after several such layers, of 4 or
            8) as texture. Defaults to False.
        kernel_initializer: Keras initializer. Defaults to normal(0, 0.02), as in the authors' code.

    Input: float [B, H, W, C]. Output: float [B, 2H, 2W, filters].
    The kernel is stored as [2, 2, C, 4 * filters]; `subpixel_kernel` converts a transposed one.

    Examples:

    >>> SubpixelUpsampling(8)(tf.random.normal([1, 16, 16, 4])).shape
    TensorShape([1, 32, 32, 8])
    """

    def __init__(self, filters: int, smooth: bool = False, kernel_initializer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.smooth = smooth
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(stddev=0.02)
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(2, 2, input_shape[-1], 4 * self.filters), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # Not the convolution's explicit padding, for which TensorFlow has no fast gradient.
        padded = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
        phases = convolve(padded, tf.convert_to_tensor(self.kernel))  # [B, H + 1, W + 1, 4 * filters]
        phases = tf.nn.bias_add(phases, tf.tile(self.bias, [4]))
        outputs = tf.nn.depth_to_space(phases, 2)  # with a border of 1
        if self.smooth:
            return tf.nn.avg_pool2d(tf.nn.avg_pool2d(outputs, 2, 1, "VALID"), 2, 1, "VALID")
        return crop(outputs, 1, 1, 2 * inputs.shape[1], 2 * inputs.shape[2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "smooth": self.smooth,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def subpixel_kernel(transposed_kernel: npt.ArrayLike) -> np.ndarray:
    """Rearrange the kernel of a 4x4 transposed convolution for `SubpixelUpsampling`.

    Args:
        transposed_kernel: [4, 4, filters, C], as in `keras.layers.Conv2DTranspose`.

    Returns:
        [2, 2, C, 4 * filters].
    """
    kernel = np.asarray(transposed_kernel).transpose(0, 1, 3, 2)  # [4, 4, C, filters]
    groups = [kernel[list(rows)][:, list(columns)] for rows in _TAPS for columns in _TAPS]
    return np.concatenate(groups, axis=-1)
