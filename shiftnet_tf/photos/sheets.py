"""Sheets of several images, and an image that shows where each hole position was copied from."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shiftnet_tf.photos import pixels
from shiftnet_tf.photos.windows import Window


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 4) -> np.ndarray:
    """Arrange images of one size in rows, on white.

    Args:
        rows: uint8 [H, W, 3] each.
        gap: pixels between images.

    Returns:
        uint8 [height, width, 3].
    """
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def add_caption(name: str, picture: np.ndarray) -> np.ndarray:
    """Put a line of text above an image.

    Args:
        name: the text.
        picture: uint8 [H, W, 3].

    Returns:
        uint8 [H + 28, W, 3].
    """
    sheet = Image.new("RGB", (picture.shape[1], picture.shape[0] + 28), "white")
    sheet.paste(Image.fromarray(picture), (0, 28))
    ImageDraw.Draw(sheet).text((2, 3), name, fill="black", font=ImageFont.load_default(size=18))
    return np.array(sheet)


def shift_map_sheet(
    image: np.ndarray, mask: np.ndarray, shift_maps: Sequence[tuple[Window, np.ndarray]], arrows: int = 12
) -> np.ndarray:
    """Draw where each hole position was copied from: each place has a colour, and the hole has those of its sources.

    The known part of the photo is tinted by place (red increases to the right, green downward, blue toward the upper
    left); each filled position has the full colour of its source. Hole positions without a source are grey. Arrows lead
    from sources to some of the positions: white from the photo, black from its mirror image.

    Args:
        image: uint8 [h, w, 3], the photo, which may be scaled down.
        mask: [H, W] of the photo itself, nonzero = hole.
        shift_maps: windows of the photo and their maps, int [r, c]: row * c + column of the source, plus r * c if it is
            mirrored, -1 elsewhere; as `Inpainter.fill` returns them.
        arrows: maximum number of arrows, evenly spread over the filled positions.

    Returns:
        uint8 [h, w, 3].
    """
    height, width = image.shape[:2]
    scale = np.array([height / mask.shape[0], width / mask.shape[1]])
    hole = np.asarray(Image.fromarray(mask != 0).resize((width, height), Image.Resampling.NEAREST))
    rows, columns = np.mgrid[0:height, 0:width]
    place = _colour_of((rows + 0.5) / height, (columns + 0.5) / width)
    sheet = np.array(Image.blend(Image.fromarray(image), Image.fromarray(place), 0.35))
    sheet[hole] = 128
    lines: list[tuple[np.ndarray, np.ndarray, bool]] = []
    for window, shift_map in shift_maps:
        cell = np.array([window.height, window.width]) / shift_map.shape
        ends = np.argwhere(shift_map >= 0)  # [n, 2], row and column in the map
        found = shift_map[shift_map >= 0]
        starts = np.stack(np.divmod(found % shift_map.size, shift_map.shape[1]), axis=-1)
        starts, ends = (((x + 0.5) * cell + (window.top, window.left)) * scale for x in (starts, ends))  # in the sheet
        colours = np.full((*shift_map.shape, 3), 128, np.uint8)
        colours[shift_map >= 0] = _colour_of(starts[:, 0] / height, starts[:, 1] / width)
        part = Window(round(window.top * scale[0]), round(window.left * scale[1]), *_size(window, scale))
        filled = pixels.resize_image(colours, part.height, part.width, Image.Resampling.NEAREST)
        target, where = sheet[part.slices], hole[part.slices]  # the window may end a pixel outside
        target[where] = filled[: where.shape[0], : where.shape[1]][where]
        lines += zip(starts[:, ::-1], ends[:, ::-1], found >= shift_map.size)
    picture = Image.fromarray(sheet)
    for i in np.linspace(0, len(lines) - 1, min(arrows, len(lines)), dtype=int):
        start, end, mirrored = lines[i]
        _arrow(
            ImageDraw.Draw(picture),
            start,
            end,
            max(2, min(width, height) // 200),
            ("black", "white") if mirrored else ("white", "black"),
        )
    return np.array(picture)


def _size(window: Window, scale: np.ndarray) -> tuple[int, int]:
    return max(1, round(window.height * scale[0])), max(1, round(window.width * scale[1]))


def _colour_of(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the colour of places, given as shares of the image's height and width: uint8 [..., 3]."""
    colour = np.stack([column, row, 1 - (row + column) / 2], axis=-1)
    levels: np.ndarray = np.clip(colour, 0, 1) * 255
    return levels.astype(np.uint8)


def _arrow(draw: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, width: int, colours: tuple[str, str]) -> None:
    """Draw a line with a dot at its start and a head at its end; the second colour outlines it."""
    along = end - start
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = np.array([-along[1], along[0]])
    for colour, edge in ((colours[1], width), (colours[0], 0)):
        tip = end + edge * along
        foot = end - (4 * width + edge) * along
        side = (2 * width + edge) * across
        draw.line([*start, *foot], fill=colour, width=width + edge)
        draw.polygon([*tip, *(foot + side), *(foot - side)], fill=colour)
        draw.ellipse([*(start - width - edge / 2), *(start + width + edge / 2)], fill=colour)
