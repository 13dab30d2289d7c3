"""Whether a graph is built for the GPU of a phone.

Layers compute the same values by other operations then: those alone that LiteRT's delegates for such GPUs take (see
`gpu_delegate`), and with sums that 16-bit floats can hold.
"""

import contextlib
import contextvars

_MOBILE_GPU = contextvars.ContextVar("mobile_gpu", default=False)


@contextlib.contextmanager
def mobile_gpu(on=True):
    """Builds the graphs of this context for the GPU of a phone.

    Args:
        on: bool, default True.
    """
    token = _MOBILE_GPU.set(on)
    try:
        yield
    finally:
        _MOBILE_GPU.reset(token)


def for_mobile_gpu():
    """Whether the graph at hand is built for the GPU of a phone: bool."""
    return _MOBILE_GPU.get()
