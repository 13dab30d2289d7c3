"""The operations that LiteRT's GPU delegate supports on phones, and a check of TFLite files against them.

The operations are those that CheckGpuDelegateCompatibility of google-ai-edge/LiteRT accepts
(tflite/tools/versioning/gpu_compatibility.cc, commit 007226f498a6, read on 2026-11-23), as far as networks of this
package use them. A refused operation runs on the CPU, and each change of device costs more than it gains.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.networks import Generator
from shiftnet_tf.system.packages import import_optional

# Besides these names, the source requires CAST to be between float, int32 and bool, both choices of SELECT_V2 to have
# the shape of the result, and STRIDED_SLICE and PAD to have 3 or 4 dimensions.
OPERATIONS = frozenset(
    [
        "ABS",
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CAST",
        "CONCATENATION",
        "CONV_2D",
        "DEPTH_TO_SPACE",
        "DEQUANTIZE",
        "DIV",
        "EQUAL",
        "EXP",
        "FLOOR",
        "GREATER",
        "GREATER_EQUAL",
        "LEAKY_RELU",
        "LESS",
        "LESS_EQUAL",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "NEG",
        "PAD",
        "PADV2",
        "POW",
        "PRELU",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "REVERSE_V2",
        "ROUND",
        "RSQRT",
        "SELECT",
        "SELECT_V2",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TILE",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    ]
)
UNFIT = {  # values in the config's [model] that need other operations
    "patches": (True,),
    "shift": ("soft", "soft_fused", "random"),
    "normalization": ("switchable",),
}
LONGEST_SUM = 512  # most numbers that one SUM or MEAN adds up, so that 16-bit floats can hold the sum


def check_network(generator: Generator) -> None:
    """Refuse a network of which the delegate would run a part on the CPU.

    Args:
        generator: the network.

    Raises:
        InputError: one of its arguments is in UNFIT; the message names the config key.
    """
    for key, values in UNFIT.items():
        value = getattr(generator, key)
        if value in values and (key != "shift" or generator.shift_layers):
            raise InputError(
                f"`model.{key} = {json.dumps(value)}` needs operations that GPU delegates on phones do not "
                "support: export with the default profile, or train a network without it"
            )


def find_refused(path: Path) -> list[str]:
    """Return the operations of a TFLite file that the delegate would run on the CPU.

    Casts of the uint8 inputs and of the uint8 output are ignored: they stay on the CPU, at both ends of the graph.

    Args:
        path: a .tflite file.

    Returns:
        One entry per kind of operation and reason, sorted.
    """
    schema = import_optional("ai_edge_litert.schema_py_generated", "ai-edge-litert", "reading a TFLite file")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    (graph,) = model.subgraphs
    found = set()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [graph.tensors[i] for i in operator.inputs if i >= 0]
        outputs = [graph.tensors[i] for i in operator.outputs]
        reason = _reason(schema.TensorType, name, inputs, outputs)
        if reason:
            found.add(f"{name}: {reason}")
    return sorted(found)


def _reason(types: Any, name: str, inputs: list[Any], outputs: list[Any]) -> str | None:
    """Return why an operation is refused; None if it is not."""
    kinds = {tensor.type for tensor in (inputs[0], *outputs)}
    if name == "CAST" and types.UINT8 in kinds:
        return None
    if name not in OPERATIONS:
        return "unsupported operation"
    if max(_rank(tensor) for tensor in (*inputs, *outputs)) > 4:
        return "more than 4 dimensions"
    if name == "CAST" and not kinds <= {types.FLOAT32, types.INT32, types.BOOL}:
        return "unsupported type"
    if name == "SELECT_V2" and not _selects(outputs[0], *inputs):
        return "operands and result differ in shape"
    if name in ("STRIDED_SLICE", "SLICE") and _rank(inputs[0]) < 3:
        return "fewer than 3 dimensions"
    if name in ("SUM", "MEAN") and np.prod(inputs[0].shape) / np.prod(outputs[0].shape) > LONGEST_SUM:
        return f"adds up more than {LONGEST_SUM} numbers"
    return None


def _selects(output: Any, condition: Any, *choices: Any) -> bool:
    whole = list(output.shape)
    return list(condition.shape) == whole and all(_rank(x) == 0 or list(x.shape) == whole for x in choices)


def _rank(tensor: Any) -> int:
    return 0 if tensor.shape is None else len(tensor.shape)
