"""What an exported file says of itself, where its format has a place for it."""

import re

from shiftnet_tf.networks import Generator
from shiftnet_tf.run_folder import Run

_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_LICENSE = re.compile(r"^license: *(.+)$", re.MULTILINE)


def describe(run: Run, generator: Generator, precision: str, license: str | None = None) -> dict[str, str]:
    """Return the facts of a file, see `exporter.Job`.

    Args:
        run: what is exported.
        generator: its network, at the size of the export.
        precision: of the file.
        license: of the weights; None: see `license_of`.
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
    """Return the licence that the model card in a run folder names, `license: NAME` in its front matter; "" if none."""
    card = run.path / "README.md"
    front = _FRONT_MATTER.match(card.read_text("utf-8", errors="replace")) if card.is_file() else None
    found = _LICENSE.search(front.group(1)) if front else None
    return found.group(1).strip() if found else ""
