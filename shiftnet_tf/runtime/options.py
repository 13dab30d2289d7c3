"""The options of a fill: the same for the command, for Python, for the server and its OpenAPI page."""

import dataclasses
from typing import Literal

from shiftnet_tf.masks.mask_files import MaskSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillOptions(MaskSettings):
    """How a hole is filled, and how its mask is read.

    Attributes:
        strategy: how the model sees a photo of another size than its own, see `runtime.strategies`.
        detail: where the detail of the filled region comes from: the network, or pixels of the photo, copied at its own
            resolution with the network's output as the guide; see `runtime.refine`.
        invert, dilate, threshold, mask_from: see `masks.mask_files.MaskSettings`.

    Raises:
        InputError: an invalid value.
    """

    strategy: Literal["auto", "resize", "crop", "tile"] = dataclasses.field(
        default="auto",
        metadata={
            "help": "show the model the whole photo (resize), each hole and its surroundings (crop), or overlapping "
            "tiles (tile) (default: auto, whichever fits the holes)"
        },
    )
    detail: Literal["auto", "model", "shift-map"] = dataclasses.field(
        default="auto",
        metadata={
            "help": "take detail from the network (model), or copy pixels of the photo at its own resolution, guided "
            "by the network (shift-map) (default: auto, shift-map for wide holes and model for narrow ones)"
        },
    )

    @classmethod
    def from_attributes(cls, source: object) -> "FillOptions":
        """Read each option from the attribute of the same name, such as of a parsed command line or request."""
        return cls(**{field.name: getattr(source, field.name) for field in dataclasses.fields(cls)})


DEFAULTS = FillOptions()
