"""The two networks of Shift-Net."""

from shiftnet_tf.networks.discriminator import Discriminator
from shiftnet_tf.networks.generator import Generator

__all__ = ["Discriminator", "Generator"]
