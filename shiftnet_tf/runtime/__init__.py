"""Running an exported model, without TensorFlow: on arrays, on files, on folders."""

from shiftnet_tf.runtime.files import inpaint_file, inpaint_photo
from shiftnet_tf.runtime.folders import inpaint_folder
from shiftnet_tf.runtime.inpainter import Inpainter

__all__ = ["Inpainter", "inpaint_file", "inpaint_folder", "inpaint_photo"]
