"""What a graph is built for. Layers compute the same values by other operations, as it suits who runs them.

`"tensorflow"`: training, Keras and SavedModels, where the weights are variables. `"runtime"`: model files, where they
are constants that the runtime lays out once.
"""

import contextlib
import contextvars

TARGETS = ("tensorflow", "runtime")
_TARGET = contextvars.ContextVar("target", default=TARGETS[0])


@contextlib.contextmanager
def graph_for(target):
    """Builds the graphs of this context for one of TARGETS.

    Args:
        target: str.

    Raises:
        ValueError: no such target.
    """
    if target not in TARGETS:
        raise ValueError(f"`target` must be one of {', '.join(TARGETS)}. Received: {target!r}")
    token = _TARGET.set(target)
    try:
        yield
    finally:
        _TARGET.reset(token)


def for_file():
    """Whether the graph at hand is for a model file: bool."""
    return _TARGET.get() != "tensorflow"
