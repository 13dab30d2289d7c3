"""Exports a run to ONNX, for ONNX Runtime on a server.

    python export/export_onnx.py runs/demo-20261122T120000Z --out models/demo

uint8 image and mask in, uint8 inpainted image out, any batch; opset 18.
"""

from shiftnet_tf.errors import command, import_optional
from shiftnet_tf.quiet import import_tensorflow

tf = import_tensorflow()

from shiftnet_tf import exporting, serving

OPSET = 18


def convert(generator, path, with_shift_map):
    tf2onnx = import_optional("tf2onnx.convert", "tf2onnx", "exporting to ONNX")
    graph = tf.function(lambda image, mask: serving.serve(generator, image, mask, with_shift_map))
    signature = serving.input_signature(generator.image_size)
    model, _ = tf2onnx.from_function(graph, input_signature=signature, opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx gives it a name made of numbers
    path.write_bytes(model.SerializeToString())
    return {"opset": OPSET}


@command
def main(arguments=None):
    exporting.export(arguments, __doc__, "onnx", ".onnx", convert, ["tensorflow", "keras", "onnx", "tf2onnx"])


if __name__ == "__main__":
    raise SystemExit(main())
