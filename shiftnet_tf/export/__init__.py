"""Export a run folder to a model folder; each file is checked against Keras in its own runtime."""

from shiftnet_tf.export.to_onnx import export_onnx
from shiftnet_tf.export.to_saved_model import export_saved_model
from shiftnet_tf.export.to_tflite import export_tflite

__all__ = ["export_onnx", "export_saved_model", "export_tflite"]
