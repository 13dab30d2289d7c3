"""Tell layers whether a graph is built for a model file.

Layers compute the same values by different operations, depending on what runs them: in training, Keras and SavedModels
the weights are variables; in model files they are constants, which the runtime rearranges once.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_FOR_FILE = contextvars.ContextVar("for_file", default=False)


@contextlib.contextmanager
def graph_for_file() -> Iterator[None]:
    """Build graphs for a model file inside this context."""
    token = _FOR_FILE.set(True)
    try:
        yield
    finally:
        _FOR_FILE.reset(token)


def for_file() -> bool:
    """Tell whether the current graph is for a model file."""
    return _FOR_FILE.get()
