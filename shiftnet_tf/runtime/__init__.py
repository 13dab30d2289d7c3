"""Running an exported model, without TensorFlow: `Inpainter` on arrays, `inpaint_file` on files."""

from shiftnet_tf.runtime.files import inpaint_file
from shiftnet_tf.runtime.inpainter import Inpainter

__all__ = ["Inpainter", "inpaint_file"]
