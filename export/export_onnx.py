"""Exports a run to ONNX, for ONNX Runtime on a server.

    python export/export_onnx.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; opset 18. --precision float16 halves the file: its
weights are kept in 16 bits and computed with in 32. --precision int8 quarters it: convolutions in 8 bits.

tf2onnx copies all weights some seventy times while it optimizes a graph: 14 GB and over a minute for the paper's
network. So the kernels are inputs of the graph while it is converted and become constants afterwards: the same file
with 2 GB, in seconds.
"""

from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import import_tensorflow, quiet_stderr

tf = import_tensorflow()

import keras
import numpy as np

from shiftnet_tf import exporting, onnx_graph, serving
from shiftnet_tf.ops.patch_filling import SCOPE
from shiftnet_tf.ops.targets import graph_for

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"
OPSET = 18


def convert(generator, path, job):
    tf2onnx = import_optional("tf2onnx.convert", "tf2onnx", "exporting to ONNX")
    kernels = {f"kernel_{i}": variable for i, variable in enumerate(generator.variables) if len(variable.shape) == 4}

    @tf.function
    def graph(image, mask, *values):
        with keras.StatelessScope(state_mapping=list(zip(kernels.values(), values))):
            return serving.serve(generator, image, mask, job.with_shift_map)

    signature = serving.input_signature(generator.image_size)
    signature += [tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in kernels.items()]
    with graph_for("runtime"):
        model, _ = tf2onnx.from_function(graph, input_signature=signature, opset=OPSET)
    onnx_graph.make_constant(model.graph, {name: variable.numpy() for name, variable in kernels.items()})
    onnx_graph.select_by_where(model.graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx gives it a name made of numbers
    if job.precision == "float16":
        onnx_graph.halve_constants(model.graph)
    path.write_bytes(model.SerializeToString())
    if job.precision == "int8":
        quantize(path, job.calibration)
    return {"opset": OPSET}


class Calibration:
    """Photos and masks as the quantiser reads them, one pair at a time.

    Args:
        pairs: (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]).
    """

    def __init__(self, pairs):
        self.pairs = zip(*pairs)

    def get_next(self):
        pair = next(self.pairs, None)
        return pair and {name: value[np.newaxis] for name, value in zip(("image", "mask"), pair)}


def quantize(path, pairs):
    """Puts the convolutions of an ONNX file in 8 bits, weights for each channel apart; all else stays float32.

    Args:
        path: Path of the file, replaced.
        pairs: see `Calibration`.
    """
    quantization = import_optional("onnxruntime.quantization", "onnxruntime", "quantising an ONNX model")
    onnx = import_optional("onnx", "onnx", "quantising an ONNX model")
    plain = path.with_name(f"float32-{path.name}")
    path.rename(plain)
    with quiet_stderr():
        quantization.quantize_static(
            plain,
            path,
            Calibration(pairs),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            # Those of fill_from_patches only move values: in 8 bits they would spoil them and gain nothing.
            nodes_to_exclude=[node.name for node in onnx.load(plain).graph.node if SCOPE in node.name],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    plain.unlink()


@command
def main(arguments=None):
    options = exporting.parser(__doc__, PHOTOS, ("float32", "float16", "int8")).parse_args(arguments)
    exporting.export(options, "onnx", ".onnx", convert, ["tensorflow", "keras", "onnx", "tf2onnx"])


if __name__ == "__main__":
    raise SystemExit(main())
