"""Fill a hole with pixels copied from the photo itself, at its own resolution, guided by the network's output."""

from shiftnet_tf.runtime.refine.detail import DETAILS, copies, refine

__all__ = ["DETAILS", "copies", "refine"]
