"""The generator: a U-Net with shift connections (section 3.3, Table 2).

In: image float32 [B, S, S, 3] in [-1, 1], mask float32 [B, S, S, 1], 1 = hole. Out: the predicted image, float32
[B, S, S, 3] in [-1, 1]. The hole is set to 0 first, so that content under the mask cannot leak. Beyond the paper,
optionally: the network sees the hole filled with patches of the known part, and its prediction continues the known
pixels without a seam.

Encoder: `depth` 4x4 convolutions of stride 2, filters f, 2f, 4f, 8f, 8f, ...; instance normalisation after all but the
first and the last; LeakyReLU(0.2) before all but the first. Decoder: `depth` 4x4 transposed convolutions of stride 2,
ReLU before each; instance normalisation after all but the last; then the encoder feature of that size is concatenated,
and for a layer in `shift_layers` the shifted feature too. tanh at the end.

Variants are arguments: other kinds of shift and normalisation, the authors' network for faces, a context encoder.

As in both releases of the authors, the shift connection takes its features after the decoder's ReLU. As in the authors'
PyTorch code, 1 - mask is a fourth input channel, which distinguishes a hole from grey.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import keras
import tensorflow as tf

from shiftnet_tf import layers
from shiftnet_tf.config import toml_file
from shiftnet_tf.config.model import FeatureMask, ModelConfig, Normalization, Shift
from shiftnet_tf.errors import InputError
from shiftnet_tf.networks.weights import load_weights
from shiftnet_tf.ops.masking import composite, downsample_mask, mask_image
from shiftnet_tf.ops.membrane import membrane
from shiftnet_tf.ops.patch_filling import fill_from_patches
from shiftnet_tf.system.bundled import GENERATOR_WEIGHTS, find_preset

_ARGUMENTS = [field.name for field in dataclasses.fields(ModelConfig)]

_SHIFTS: dict[str, Callable[..., keras.layers.Layer]] = {
    "hard": layers.ShiftConnection,
    "mirrored": layers.ShiftConnection,
    "soft": layers.SoftShiftConnection,
    "soft_fused": functools.partial(layers.SoftShiftConnection, score_fusion=True),
    "random": layers.RandomShiftConnection,
}


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class Generator(keras.Model):
    """Predicts the whole image from its known part.

    Args:
        image_size: pixels, a multiple of 2 ** `depth`. Defaults to 256.
        filters: of the first convolution. Defaults to 64.
        depth: number of convolutions of stride 2. Defaults to 8.
        shift_layers: encoder layers with a shift connection, counted from 1. Defaults to (3,), which is 32x32 for
            256x256.
        shift: what a shift connection does, see `config.ModelConfig`. Defaults to `"hard"`, the paper's.
        skips: whether the decoder gets the encoder features. Defaults to True.
        normalization: `"instance"`, `"batch"` or `"switchable"`. Defaults to `"instance"`.
        third_kernel_size: 4 or 6, of the third encoder convolution. Defaults to 4.
        feature_mask: `"convolution"` or `"nearest"`, see `ops.masking.downsample_mask`. Defaults to `"convolution"`.
        mask_channel: whether 1 - mask is a fourth input channel. Defaults to True.
        seamless: whether to correct the prediction in the hole by its error at the surrounding known pixels, see
            `ops.membrane.membrane`. Defaults to False.
        patches: whether the network sees the hole filled with patches, see `ops.patch_filling.fill_from_patches`,
            and adds as much of their detail as its gate lets through. Defaults to False.
        blend_patches: whether to blend the patches themselves with the prediction instead. Defaults to False.
        smooth_upsampling: whether all upsampling layers of the decoder except the last blur their results, see
            `layers.SubpixelUpsampling`. Defaults to False.

    Call arguments:
        inputs: dict of `image` float32 [B, S, S, 3] in [-1, 1] and `mask` float32 [B, S, S, 1], 1 = hole.
        return_features: bool, default False.
        training: bool, default False. If True, batch and switchable normalisation use the statistics of the batch, and
            a prediction with `seamless` or `patches` may leave [-1, 1], so that its gradient leads back.

    Returns:
        The predicted image, float32 [B, S, S, 3]. With `return_features` also a dict of lists, with one entry per shift
        connection in the order of `shift_layers`: `decoder_features` [B, h, w, C], `feature_mask` [B, h, w, 1] and
        `shift_map` int32 [B, h, w].

    Raises:
        InputError (a ValueError): an argument is out of range, such as an `image_size` that is not such a multiple.

    Examples:

    >>> generator = Generator(image_size=256, filters=8)
    >>> generator({"image": tf.zeros([1, 256, 256, 3]), "mask": tf.ones([1, 256, 256, 1])}).shape
    TensorShape([1, 256, 256, 3])

    Reference: [Yan et al., 2018](https://arxiv.org/abs/1801.09392), Table 2.
    """

    def __init__(
        self,
        image_size: int = 256,
        filters: int = 64,
        depth: int = 8,
        shift_layers: Iterable[int] = (3,),
        shift: Shift = "hard",
        skips: bool = True,
        normalization: Normalization = "instance",
        third_kernel_size: int = 4,
        feature_mask: FeatureMask = "convolution",
        mask_channel: bool = True,
        seamless: bool = False,
        patches: bool = False,
        blend_patches: bool = False,
        smooth_upsampling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = image_size
        self.filters = filters
        self.depth = depth
        self.shift_layers = tuple(shift_layers)
        self.shift = shift
        self.skips = skips
        self.normalization = normalization
        self.third_kernel_size = third_kernel_size
        self.feature_mask = feature_mask
        self.mask_channel = mask_channel
        self.seamless = seamless
        self.patches = patches
        self.blend_patches = blend_patches
        self.smooth_upsampling = smooth_upsampling
        ModelConfig(**{name: getattr(self, name) for name in _ARGUMENTS})  # checks them

        widths = [filters * min(2**layer, 8) for layer in range(depth)]
        sizes = [third_kernel_size if i == 2 else 4 for i in range(depth)]
        self.encoder_convolutions = [
            _convolution(width, size, f"encoder_{i + 1}") for i, (width, size) in enumerate(zip(widths, sizes))
        ]
        self.encoder_norms = [self._norm(f"encoder_norm_{i + 1}") for i in range(1, depth - 1)]
        # decoder_ups[i] doubles the size of encoder layer i + 1 to that of encoder layer i.
        self.decoder_ups = [
            layers.SubpixelUpsampling(width, smooth=smooth_upsampling and i > 0, name=f"decoder_{i + 1}")
            for i, width in enumerate([3, *widths[:-1]])
        ]
        self.decoder_norms = [self._norm(f"decoder_norm_{i + 1}") for i in range(1, depth)]
        self.detail_gate = layers.DetailGate(blend=blend_patches, name="detail_gate") if patches else None
        self.shifts = [self._shift(f"shift_{layer}") for layer in self.shift_layers]

    @classmethod
    def from_preset(cls, preset: str | os.PathLike[str], image_size: int | None = None) -> "Generator":
        """Return a generator with trained weights, to fine-tune or to export.

        Args:
            preset: `"compact"`, the bundled weights, or the path of a run folder or of packed weights.
            image_size: in pixels; None: the training size. The weights fit any size.

        Raises:
            InputError: no such preset, no weights yet, or an image size that does not fit.

        Examples:

        >>> generator = Generator.from_preset("compact")         # doctest: +SKIP
        >>> generator.summary()                                   # doctest: +SKIP
        """
        folder = find_preset(preset)
        if not (folder / "config.toml").is_file():
            raise InputError(f"no weights to load (no config.toml): pass a run folder. Received: {folder}")
        return cls.from_weights(toml_file.read(folder / "config.toml").model, folder / GENERATOR_WEIGHTS, image_size)

    @classmethod
    def from_weights(cls, config: ModelConfig, path: Path, image_size: int | None = None) -> "Generator":
        """Return a generator with the weights of a file.

        Args:
            config: its arguments.
            path: of the weights.
            image_size: replaces the config's unless None.

        Raises:
            InputError: see `networks.weights`; or an image size that does not fit.
        """
        config = config if image_size is None else dataclasses.replace(config, image_size=image_size)
        generator = cls(**dataclasses.asdict(config))
        generator.build()
        load_weights(generator, path)
        return generator

    def _norm(self, name: str) -> keras.layers.Layer:
        return layers.normalization(self.normalization, name)

    def _shift(self, name: str) -> keras.layers.Layer:
        return _SHIFTS[self.shift](name=name)

    def build(self, input_shape: Mapping[str, tuple[int | None, ...]] | None = None) -> None:
        channels = 3 + self.mask_channel
        for convolution in self.encoder_convolutions:
            convolution.build((None, None, None, channels))
            channels = convolution.filters
        for i in reversed(range(self.depth)):
            self.decoder_ups[i].build((None, None, None, channels))
            if i == 0 and self.detail_gate is not None:
                self.detail_gate.build((None, None, None, channels))
            channels = self.decoder_ups[i].filters
            if i in self.shift_layers:
                shift = self.shifts[self.shift_layers.index(i)]
                shift.build((None, None, None, channels))
                channels *= 3
            elif self.skips:
                channels *= 2
        norms = zip(self.encoder_norms + self.decoder_norms, self.encoder_convolutions[1:-1] + self.decoder_ups[1:])
        for norm, convolution in norms:
            norm.build((None, None, None, convolution.filters))
        self.built = True

    if TYPE_CHECKING:  # Keras hands a call on to `call`

        @overload
        def __call__(
            self, inputs: Mapping[str, Any], return_features: Literal[False] = ..., training: bool = ...
        ) -> tf.Tensor: ...
        @overload
        def __call__(
            self, inputs: Mapping[str, Any], return_features: Literal[True], training: bool = ...
        ) -> tuple[tf.Tensor, dict[str, list[tf.Tensor]]]: ...
        @overload
        def __call__(
            self, inputs: Mapping[str, Any], return_features: bool = ..., training: bool = ...
        ) -> tf.Tensor | tuple[tf.Tensor, dict[str, list[tf.Tensor]]]: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any: ...

    def call(
        self, inputs: Mapping[str, tf.Tensor], return_features: bool = False, training: bool = False
    ) -> tf.Tensor | tuple[tf.Tensor, dict[str, list[tf.Tensor]]]:
        image, mask = (tf.cast(inputs[name], tf.float32) for name in ("image", "mask"))  # not in mixed precision
        masked_image = mask_image(image, mask)
        seen = fill_from_patches(masked_image, mask) if self.patches else masked_image
        *skips, bottleneck = self._encode(seen, mask, training)
        mirrored = self._mirrored_features(seen, mask, training)
        features = {}
        x = tf.nn.relu(bottleneck)
        for i in reversed(range(1, self.depth)):
            x = self.decoder_norms[i - 1](self.decoder_ups[i](x), training=training)  # [B, S / 2**i, S / 2**i, width]
            decoder = tf.nn.relu(x)
            encoder = tf.nn.relu(skips[i - 1])
            if i in self.shift_layers:
                shift = self.shifts[self.shift_layers.index(i)]
                feature_mask = tf.cast(downsample_mask(mask, i, self.feature_mask), decoder.dtype)
                second = {"mirrored_features": mirrored[i]} if mirrored else {}
                x, shift_map = shift(decoder, encoder, feature_mask, return_shift_map=True, **second)
                features[i] = (decoder, feature_mask, shift_map)
            else:
                x = tf.concat([decoder, encoder], axis=-1) if self.skips else decoder
        predicted_image = tf.cast(tf.math.tanh(self.decoder_ups[0](x)), tf.float32)
        if self.seamless:
            error = membrane(masked_image - predicted_image, mask)
            predicted_image = composite(predicted_image + error, predicted_image, mask)
        if self.detail_gate is not None:
            detailed_image = self.detail_gate(x, predicted_image, seen, mask)
            predicted_image = composite(detailed_image, predicted_image, mask)
        if not training and (self.seamless or self.patches):
            predicted_image = tf.clip_by_value(predicted_image, -1.0, 1.0)
        if not return_features:
            return predicted_image
        names = ("decoder_features", "feature_mask", "shift_map")
        listed = {name: [features[layer][i] for layer in self.shift_layers] for i, name in enumerate(names)}
        return predicted_image, listed

    def _mirrored_features(self, seen: tf.Tensor, mask: tf.Tensor, training: bool) -> dict[int, tf.Tensor]:
        """Return a dict of layer to encoder features of the mirrored image, mirrored back; empty unless used."""
        if self.shift != "mirrored" or not self.shift_layers:
            return {}
        features = self._encode_aside(tf.reverse(seen, axis=[2]), tf.reverse(mask, axis=[2]), training)
        return {layer: tf.reverse(tf.nn.relu(features[layer - 1]), axis=[2]) for layer in self.shift_layers}

    def encode(self, image: tf.Tensor, mask: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Return the encoder features of a complete image: the target of the guidance loss.

        The moving averages of batch and switchable normalisation do not change.

        Args:
            image: float32 [B, S, S, 3] in [-1, 1], complete.
            mask: float32 [B, S, S, 1], used as the mask channel but not applied.
            training: whether those normalisations use the statistics of the batch.

        Returns:
            One entry per shift connection: float [B, h, w, C], after the ReLU.
        """
        if not self.shift_layers:
            return []
        features = self._encode_aside(image, mask, training)
        return [tf.nn.relu(features[layer - 1]) for layer in self.shift_layers]

    def _encode_aside(self, image: tf.Tensor, mask: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Encode another image than the one to fill, up to the last shift connection, without moving any average."""
        count = max(self.shift_layers)
        if not training:
            return self._encode(image, mask, training, count)
        averages = [variable for norm in self.encoder_norms for variable in norm.non_trainable_variables]
        before = [tf.identity(average) for average in averages]
        features = self._encode(image, mask, training, count)
        for average, value in zip(averages, before):
            average.assign(value)
        return features

    def _encode(self, image: tf.Tensor, mask: tf.Tensor, training: bool, count: int | None = None) -> list[tf.Tensor]:
        """Return the output of each encoder layer, all but the last after the LeakyReLU of the next layer.

        The skips apply a ReLU to it: relu(leaky_relu(x)) is relu(x), and a convolution with a single activation is
        fused with it.
        """
        x = tf.concat([image, 1.0 - mask], axis=-1) if self.mask_channel else image
        features = []
        for i in range(count or self.depth):
            x = self.encoder_convolutions[i](x)
            if 0 < i < self.depth - 1:
                x = self.encoder_norms[i - 1](x, training=training)
            if i < self.depth - 1:
                x = tf.nn.leaky_relu(x, 0.2)
            features.append(x)
        return features

    def finest_shift_map(self, features: dict[str, list[tf.Tensor]]) -> tf.Tensor:
        """Return the shift map of the connection nearest the output.

        Args:
            features: from a call with `return_features`; the network must have a shift connection.

        Returns:
            int32 [B, h, w].
        """
        return features["shift_map"][self.shift_layers.index(min(self.shift_layers))]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


def _convolution(filters: int, size: int, name: str) -> layers.Conv2D:
    # For even inputs, "same" is the padding of 1 (kernel 4) or 2 (kernel 6) on each side that the PyTorch code sets.
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return layers.Conv2D(filters, size, strides=2, padding="same", kernel_initializer=initializer, name=name)
