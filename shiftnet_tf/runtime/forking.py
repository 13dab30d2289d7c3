"""Models and threads after a fork: the child has none of the parent's threads, and would wait for one forever."""

import ctypes
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """An object with threads of its own."""

    def after_fork(self) -> None:
        """Forget the threads; called in the child, before anything else runs there."""


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(holder: Forked) -> None:
    """Have `after_fork` called in each process that is forked from this one."""
    _watched.add(holder)


def abandon(thing: object) -> None:
    """Keep an object of the parent until the process ends, because its destructor would wait for its threads."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork() -> None:
    for holder in list(_watched):
        holder.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
