"""The messages between the server and the processes of its pool."""

from dataclasses import dataclass

import numpy as np

from shiftnet_tf.runtime.model_file import ModelFile
from shiftnet_tf.server.limits import Limits

READY = "ready"  # asks a process whether it is alive, and is its answer


@dataclass(frozen=True)
class Setup:
    """The first message to a process: everything it needs to know.

    Attributes:
        model: the model's file and spec.
        name, provider, outputs, batch_sizes: of the backend, see `runtime.backends`.
        limits: those of the server.
    """

    model: ModelFile
    name: str
    provider: str
    outputs: list[str]
    batch_sizes: tuple[int, ...]
    limits: Limits


@dataclass(frozen=True)
class Job:
    """A request as received.

    Attributes:
        content_type: the header.
        body: the raw bytes.
        shift_map: whether to answer with the image of the shift map.
    """

    content_type: str
    body: bytes | bytearray
    shift_map: bool


@dataclass(frozen=True)
class TensorJob:
    """A request of the Open Inference Protocol as received.

    Attributes:
        model: the requested model's name.
        json_bytes: the header `tensors.HEADER`; None if the body is JSON only.
        body: the raw bytes.
    """

    model: str
    json_bytes: str | None
    body: bytes | bytearray


@dataclass(frozen=True)
class Windows:
    """Windows for the model in the server to fill.

    Attributes:
        image, mask: see `runtime.backends.Backend`.
    """

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Reply:
    """The answer to a request.

    Attributes:
        content: the body.
        media_type: the content type.
        headers: further headers.
    """

    content: bytes
    media_type: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Done:
    """The end of a request.

    Attributes:
        outcome: the answer, or the error.
        last: whether the process has grown too large and ends now.
    """

    outcome: Reply | Exception
    last: bool
