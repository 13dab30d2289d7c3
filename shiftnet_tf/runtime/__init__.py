"""Run an exported model, without TensorFlow, on arrays, files and folders."""

from shiftnet_tf.runtime.files import inpaint_file, inpaint_photo
from shiftnet_tf.runtime.folders import inpaint_folder
from shiftnet_tf.runtime.inpainter import Inpainted, Inpainter
from shiftnet_tf.runtime.options import FillOptions

__all__ = ["FillOptions", "Inpainted", "Inpainter", "inpaint_file", "inpaint_folder", "inpaint_photo"]
