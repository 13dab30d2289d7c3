"""Pictures for people: sheets of several, and where each hole position was filled from."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shiftnet_tf import images


def grid(rows, gap=4):
    """Pictures of one size in rows, on white.

    Args:
        rows: list of lists of uint8 [H, W, 3].
        gap: int, pixels between pictures.

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


def captioned(name, picture):
    """A picture below a line of text.

    Args:
        name: str.
        picture: uint8 [H, W, 3].

    Returns:
        uint8 [H + 28, W, 3].
    """
    sheet = Image.new("RGB", (picture.shape[1], picture.shape[0] + 28), "white")
    sheet.paste(Image.fromarray(picture), (0, 28))
    ImageDraw.Draw(sheet).text((2, 3), name, fill="black", font=ImageFont.load_default(size=18))
    return np.array(sheet)


def shift_map_picture(image, mask, shift_map, arrows=12):
    """Shows where each hole position was filled from: places have colours, the hole has those of its sources.

    The known part of the photo is tinted by place (red grows to the right, green downward, blue toward the upper
    left); each filled position carries the full colour of the place that filled it. What was not filled is grey.
    Arrows lead from the source to some of the positions: white from the photo, black from its mirror image.

    Args:
        image: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole.
        shift_map: int [h, w], row * w + column of the source, plus h * w if it is mirrored, -1 elsewhere.
        arrows: int, at most so many, evenly spread over the filled positions. Defaults to 12.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = image.shape[:2]
    rows, columns = shift_map.shape
    row, column = np.mgrid[0:rows, 0:columns]
    place = np.stack([column / columns, row / rows, 1 - (row / rows + column / columns) / 2], axis=-1)
    place = (place * 255).astype(np.uint8)  # [h, w, 3]
    sources = shift_map % shift_map.size  # -1 becomes the last one, and is masked out below
    colours = np.where((shift_map >= 0)[..., None], place.reshape(-1, 3)[sources], np.uint8(128))
    tint, filled = (images.resize_image(x, height, width, Image.Resampling.NEAREST) for x in (place, colours))
    tinted = Image.blend(Image.fromarray(image), Image.fromarray(tint), 0.35)
    sheet = Image.fromarray(images.composite(np.array(tinted), filled, mask))

    def centre(row, column):
        return np.array([(column + 0.5) * width / columns, (row + 0.5) * height / rows])

    positions = np.argwhere(shift_map >= 0)
    for y in positions[np.linspace(0, len(positions) - 1, min(arrows, len(positions)), dtype=int)]:
        source = centre(*divmod(sources[tuple(y)], columns))
        colours = ("white", "black") if shift_map[tuple(y)] < shift_map.size else ("black", "white")
        _arrow(ImageDraw.Draw(sheet), source, centre(*y), max(2, min(width, height) // 200), colours)
    return np.array(sheet)


def _arrow(draw, start, end, width, colours):
    """A line with a dot at its start and a head at its end; the second colour is its edge."""
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
