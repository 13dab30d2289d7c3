"""The settings that the networks and losses in PyTorch implement: those of configs/compact.toml."""

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import check

_SUPPORTED = {
    "model": {
        "depth": 8,
        "shift_layers": (3,),
        "shift": "hard",
        "skips": True,
        "normalization": "instance",
        "third_kernel_size": 4,
        "feature_mask": "convolution",
        "mask_channel": True,
        "seamless": True,
        "patches": True,
        "blend_patches": True,
        "smooth_upsampling": True,
    },
    "discriminator": {
        "depth": 3,
        "input": "inpainted_image",
        "window": "random",
        "spectral_norm": True,
        "normalization": "instance",
        "mask_channel": False,
    },
    "losses": {
        "gan": "hinge",
        "adversarial_region": "hole",
        "features": "efficientnet_lite0",
        "discount": 1.0,
        "r1": 0.0,
        "hole_squared": 0.0,
        "total_variation": 0.0,
        "texture": 0.0,
        "style": 0.0,
        "content": 0.0,
    },
}


def check_config(config: Config) -> None:
    """Refuse settings that are not implemented here.

    Raises:
        InputError: a setting of the network or the losses differs in kind from configs/compact.toml.
    """
    for section, settings in _SUPPORTED.items():
        for name, value in settings.items():
            received = getattr(getattr(config, section), name)
            check(f"{section}.{name}", received, received == value, f"{value!r}, as in configs/compact.toml")
