"""Whether a graph is built for a model file. Layers compute the same values by other operations, as it suits who runs
them: in training, Keras and SavedModels the weights are variables, in model files constants that the runtime lays out
once.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_FOR_FILE = contextvars.ContextVar("for_file", default=False)


@contextlib.contextmanager
def graph_for_file() -> Iterator[None]:
    """Build the graphs of this context for a model file."""
    token = _FOR_FILE.set(True)
    try:
        yield
    finally:
        _FOR_FILE.reset(token)


def for_file() -> bool:
    """Tell whether the graph at hand is for a model file."""
    return _FOR_FILE.get()
