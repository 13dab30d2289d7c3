"""Fill a hole with matter of the photo itself, at the photo's own resolution, guided by the network's answer."""

from shiftnet_tf.runtime.refine.detail import DETAILS, copies, refine

__all__ = ["DETAILS", "copies", "refine"]
