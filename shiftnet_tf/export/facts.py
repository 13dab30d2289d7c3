"""Metadata of an exported file, for formats that can store it."""

import re

from shiftnet_tf.networks import Generator
from shiftnet_tf.run_folder import Run

_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_LICENSE = re.compile(r"^license: *(.+)$", re.MULTILINE)


def describe(run: Run, generator: Generator, precision: str, license: str | None = None) -> dict[str, str]:
    """Return the metadata of a file, see `exporter.Job`.

    Args:
        run: the exported run.
        generator: its network, at the exported size.
        precision: the file's precision.
        license: the licence of the weights; None: see `license_of`.
    """
    size = generator.image_size
    masks = ", ".join(f"{kind} {weight:g}" for kind, weight in run.config.masks.weights.items() if weight)
    license = license or license_of(run)
    facts = {
        "description": f"Shift-Net image inpainting (arXiv 1801.09392). image: uint8 [batch, {size}, {size}, 3], RGB; "
        f"mask: uint8 [batch, {size}, {size}, 1], nonzero = hole; inpainted_image: uint8 [batch, {size}, {size}, 3], "
        "known pixels equal to the input.",
        "model_name": run.path.resolve().name,
        "precision": precision,
        "trained_on_masks": masks,
    }
    return facts | ({"model_license": license} if license else {})


def license_of(run: Run) -> str:
    """Return the licence in the front matter (`license: NAME`) of a run folder's model card; "" if there is none."""
    card = run.path / "README.md"
    front = _FRONT_MATTER.match(card.read_text("utf-8", errors="replace")) if card.is_file() else None
    found = _LICENSE.search(front.group(1)) if front else None
    return found.group(1).strip() if found else ""
