"""What the server and the processes of its pool send to each other."""

from dataclasses import dataclass

import numpy as np

from shiftnet_tf.runtime.inpainter import ModelFile
from shiftnet_tf.server.limits import Limits

READY = "ready"  # asks a process for a sign of life, and is its answer


@dataclass(frozen=True)
class Setup:
    """What a process has to know, its first message.

    Attributes:
        model: what the model comes from.
        name, provider, outputs, batch_sizes: of the backend, see `runtime.backends`.
        limits: of the server.
    """

    model: ModelFile
    name: str
    provider: str
    outputs: list[str]
    batch_sizes: tuple[int, ...]
    limits: Limits


@dataclass(frozen=True)
class Job:
    """A request, as it came.

    Attributes:
        content_type: its header.
        body: its bytes.
        shift_map: whether the picture of the shift map is asked for.
    """

    content_type: str
    body: bytes | bytearray
    shift_map: bool


@dataclass(frozen=True)
class TensorJob:
    """A request of the Open Inference Protocol, as it came.

    Attributes:
        model: the name that the model is asked for by.
        json_bytes: its header `tensors.HEADER`; None for a body that is JSON alone.
        body: its bytes.
    """

    model: str
    json_bytes: str | None
    body: bytes | bytearray


@dataclass(frozen=True)
class Windows:
    """What the model in the server is to fill.

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
        media_type: its header.
        headers: more of them.
    """

    content: bytes
    media_type: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Done:
    """The end of a request.

    Attributes:
        outcome: the answer, or what is wrong with the request.
        last: whether the process has grown, and ends now.
    """

    outcome: Reply | Exception
    last: bool
