"""The two networks of Shift-Net, and pretrained networks for losses and metrics."""

from shiftnet_tf.networks.discriminator import Discriminator
from shiftnet_tf.networks.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from shiftnet_tf.networks.generator import Generator
from shiftnet_tf.networks.vgg16 import load_vgg16

__all__ = ["Discriminator", "EfficientNetLite", "Generator", "load_efficientnet_lite", "load_vgg16"]
