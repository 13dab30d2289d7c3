"""Convolution, computed as a matrix product for small images with many weights.

Deep in a U-Net, a kernel has millions of weights for a few hundred positions. TensorFlow's convolution rearranges such
a kernel on every call, which takes longer than computing with it. A matrix product of patches [positions, k * k * C]
with the unchanged kernel, [k * k * C, F], avoids that, forward and in its gradients. The runtimes of model files
rearrange kernels once, at load time, so graphs for them keep the convolution.
"""

import keras
import tensorflow as tf

from shiftnet_tf.ops.targets import for_file

_MOST_POSITIONS = 300  # 17x17


def convolve(padded: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """Convolve without padding.

    Args:
        padded: float [B, H, W, C]; H and W are static.
        kernel: float [k, k, C, F]; k is a multiple of the stride.
        stride: positions from one output to the next. Defaults to 1.

    Returns:
        float [B, (H - k) // stride + 1, (W - k) // stride + 1, F].
    """
    size, filters = kernel.shape[0], kernel.shape[-1]
    height, width = ((side - size) // stride + 1 for side in padded.shape[1:3])
    if for_file() or height * width > _MOST_POSITIONS:
        return tf.nn.conv2d(padded, kernel, stride, "VALID")
    cells, channels = size // stride, padded.shape[-1]  # a patch has cells x cells cells of stride x stride positions
    x = tf.nn.space_to_depth(padded, stride) if stride > 1 else padded
    parts = [crop(x, i, j, height, width) for i in range(cells) for j in range(cells)]
    patches = tf.reshape(tf.concat(parts, axis=-1), [-1, cells, cells, stride, stride, channels])
    if stride > 1:
        patches = tf.transpose(patches, [0, 1, 3, 2, 4, 5])  # row by row, like the kernel
    rows = tf.reshape(patches, [-1, size * size * channels])
    product = tf.linalg.matmul(rows, tf.reshape(kernel, [size * size * channels, filters]))
    return tf.reshape(product, [-1, height, width, filters])


def crop(images: tf.Tensor, top: int, left: int, height: int, width: int) -> tf.Tensor:
    """Cut a window out of each image. The gradient is a padding, which is faster than that of Python slices.

    Args:
        images: [B, H, W, C].
        top, left, height, width: of the window.

    Returns:
        [B, height, width, C].
    """
    return tf.slice(images, [0, top, left, 0], [-1, height, width, -1])


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, faster at halving images of even size; arguments, weights and results are the same.

    Examples:

    >>> Conv2D(8, 4, strides=2, padding="same")(tf.random.normal([1, 16, 16, 4])).shape
    TensorShape([1, 8, 8, 8])
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        height, width = inputs.shape[1:3]
        plain = (self.padding, self.strides, self.dilation_rate, self.groups) == ("same", (2, 2), (1, 1), 1)
        if for_file() or not plain or height % 2 or width % 2 or height * width > 4 * _MOST_POSITIONS:
            return super().call(inputs)
        border = [self.kernel_size[0] // 2 - 1] * 2  # the padding of "same" for an even size
        outputs = convolve(tf.pad(inputs, [[0, 0], border, border, [0, 0]]), tf.convert_to_tensor(self.kernel), 2)
        return self.activation(tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs)
