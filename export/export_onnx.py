"""Exports a run to ONNX, for ONNX Runtime on a server.

    python export/export_onnx.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; opset 18.

tf2onnx copies all weights some seventy times while it optimizes a graph: 14 GB and over a minute for the paper's
network. So the kernels are inputs of the graph while it is converted and become constants afterwards: the same file
with 2 GB, in seconds.
"""

import collections
from pathlib import Path

from shiftnet_tf.errors import command, import_optional
from shiftnet_tf.quiet import import_tensorflow

tf = import_tensorflow()

import keras
import numpy as np

from shiftnet_tf import exporting, serving

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"
OPSET = 18


def convert(generator, path, with_shift_map):
    tf2onnx = import_optional("tf2onnx.convert", "tf2onnx", "exporting to ONNX")
    kernels = {f"kernel_{i}": variable for i, variable in enumerate(generator.variables) if len(variable.shape) == 4}

    @tf.function
    def graph(image, mask, *values):
        with keras.StatelessScope(state_mapping=list(zip(kernels.values(), values))):
            return serving.serve(generator, image, mask, with_shift_map)

    signature = serving.input_signature(generator.image_size)
    signature += [tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in kernels.items()]
    model, _ = tf2onnx.from_function(graph, input_signature=signature, opset=OPSET)
    make_constant(model.graph, {name: variable.numpy() for name, variable in kernels.items()})
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx gives it a name made of numbers
    path.write_bytes(model.SerializeToString())
    return {"opset": OPSET}


def make_constant(graph, values):
    """Turns inputs of an ONNX graph into constants, and computes what depends on constants alone (their transposes).

    Args:
        graph: onnx.GraphProto, changed in place.
        values: dict of input name to numpy array.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    inputs = [value for value in graph.input if value.name not in values]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values, nodes = dict(values), []
    known = collections.ChainMap(values, constants)
    for node in graph.node:  # in the order of computation
        if any(name in values for name in node.input) and all(name in known for name in node.input):
            operands = {name: known[name] for name in node.input}
            values.update(zip(node.output, ReferenceEvaluator(node).run(None, operands)))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(values[name]), name) for name in values if name in used]
    for field, content in ((graph.node, nodes), (graph.input, inputs), (graph.initializer, tensors)):
        del field[:]
        field.extend(content)


@command
def main(arguments=None):
    options = exporting.parser(__doc__, PHOTOS).parse_args(arguments)
    exporting.export(options, "onnx", ".onnx", convert, ["tensorflow", "keras", "onnx", "tf2onnx"])


if __name__ == "__main__":
    raise SystemExit(main())
