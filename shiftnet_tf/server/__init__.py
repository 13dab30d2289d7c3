"""The HTTP server and its page; FastAPI is imported on use."""

from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.running import serve

__all__ = ["Limits", "serve"]
