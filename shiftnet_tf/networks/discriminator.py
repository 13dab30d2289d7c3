"""The discriminator: a PatchGAN (section 3.3, Table 3; Isola et al., 2017, arXiv 1611.07004).

In: image float32 [B, H, W, 3] in [-1, 1]. Out: logits float32 [B, h, w, 1], one per patch; 30x30 for a 256x256 image.
4x4 convolutions f, 2f, 4f with stride 2, then 8f and 1 with stride 1, all padded by 1; LeakyReLU(0.2) after all but the
last, instance normalisation on the middle ones. No sigmoid: the loss applies it.
"""

from typing import TYPE_CHECKING, Any, Literal, overload

import keras
import tensorflow as tf

from shiftnet_tf.config.model import Normalization
from shiftnet_tf.layers import normalization as make_normalization


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class Discriminator(keras.Model):
    """Judges patches of an image: real or generated.

    Args:
        filters: of the first convolution. Defaults to 64.
        depth: convolutions of stride 2. Defaults to 3.
        spectral_norm: whether the convolutions are spectrally normalised, by Keras's own layer (Miyato et al.,
            2018, arXiv 1802.05957). Defaults to False.
        normalization: `"instance"`, `"batch"` or `"switchable"`. Defaults to `"instance"`.
        mask_channel: whether the mask is a fourth input channel. Defaults to False.

    Call arguments:
        images: float32 [B, H, W, 3] in [-1, 1], with `mask_channel` [B, H, W, 4], 1 = hole in the last.
        return_features: bool, default False.
        training: bool, default False.

    Returns:
        Logits, float32 [B, h, w, 1]. With `return_features` also the list of features, the output of each convolution
        except the last, after normalisation and LeakyReLU.

    Raises:
        ValueError: an unknown normalisation.

    Examples:

    >>> Discriminator(filters=8)(tf.zeros([1, 256, 256, 3])).shape
    TensorShape([1, 30, 30, 1])
    """

    def __init__(
        self,
        filters: int = 64,
        depth: int = 3,
        spectral_norm: bool = False,
        normalization: Normalization = "instance",
        mask_channel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.depth = depth
        self.spectral_norm = spectral_norm
        self.normalization = normalization
        self.mask_channel = mask_channel
        self.widths = [filters * min(2**layer, 8) for layer in range(depth + 1)] + [1]
        self.convolutions = [
            keras.layers.Conv2D(
                width,
                4,
                strides=2 if i < depth else 1,
                padding="valid",
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                name=f"convolution_{i + 1}",
            )
            for i, width in enumerate(self.widths)
        ]
        if spectral_norm:
            self.convolutions = [keras.layers.SpectralNormalization(layer) for layer in self.convolutions]
        self.norms = [make_normalization(normalization, f"norm_{i + 1}") for i in range(1, depth + 1)]

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        for convolution, channels in zip(self.convolutions, [3 + self.mask_channel, *self.widths]):
            convolution.build((None, None, None, channels))
        for norm, width in zip(self.norms, self.widths[1:]):
            norm.build((None, None, None, width))
        self.built = True

    if TYPE_CHECKING:  # Keras hands a call on to `call`

        @overload
        def __call__(self, images: Any, return_features: Literal[False] = ..., training: bool = ...) -> tf.Tensor: ...
        @overload
        def __call__(
            self, images: Any, return_features: Literal[True], training: bool = ...
        ) -> tuple[tf.Tensor, list[tf.Tensor]]: ...
        @overload
        def __call__(
            self, images: Any, return_features: bool = ..., training: bool = ...
        ) -> tf.Tensor | tuple[tf.Tensor, list[tf.Tensor]]: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any: ...

    def call(
        self, images: tf.Tensor, return_features: bool = False, training: bool = False
    ) -> tf.Tensor | tuple[tf.Tensor, list[tf.Tensor]]:
        x = images
        features = []
        for i, convolution in enumerate(self.convolutions):
            x = convolution(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]))  # Keras passes `training` on
            if 0 < i <= self.depth:
                x = self.norms[i - 1](x)
            if i <= self.depth:
                x = tf.nn.leaky_relu(x, 0.2)
                features.append(x)
        logits = tf.cast(x, tf.float32)
        return (logits, features) if return_features else logits

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "spectral_norm": self.spectral_norm,
            "normalization": self.normalization,
            "mask_channel": self.mask_channel,
        }
