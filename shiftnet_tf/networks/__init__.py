"""The two networks of Shift-Net, and VGG16 for losses."""

from shiftnet_tf.networks.discriminator import Discriminator
from shiftnet_tf.networks.generator import Generator
from shiftnet_tf.networks.vgg16 import load_vgg16

__all__ = ["Discriminator", "Generator", "load_vgg16"]
