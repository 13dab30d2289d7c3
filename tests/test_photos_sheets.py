"""The shift map as a picture."""

import numpy as np

from shiftnet_tf.photos import sheets
from shiftnet_tf.photos.windows import Window


def test_shift_map_picture_shows_the_colour_of_the_source():
    image, mask = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 1
    shift_map = np.full((4, 4), -1)
    shift_map[1, 1] = 3  # filled from row 0, column 3
    picture = sheets.shift_map_sheet(image, mask, [(Window(0, 0, 32, 32), shift_map)], arrows=0)
    source = picture[4, 28].astype(float) / 0.35  # the known part is tinted with 35 % of its place's colour
    np.testing.assert_allclose(picture[12, 12], source, atol=6)
    np.testing.assert_array_equal(picture[20, 20], [128, 128, 128])


def test_arrows_lead_from_the_source():
    image, mask = np.full((160, 240, 3), 90, np.uint8), np.zeros((160, 240), np.uint8)
    mask[40:80, 60:120] = 1
    for source, line in ((3, [255, 255, 255]), (16 + 3, [0, 0, 0])):  # column 3 of the photo, of its mirror image
        shift_map = np.full((4, 4), -1)
        shift_map[1, 1] = source
        found = [(Window(0, 0, 160, 240), shift_map)]
        plain, drawn = (sheets.shift_map_sheet(image, mask, found, arrows) for arrows in (0, 5))
        np.testing.assert_array_equal(drawn[20, 210], line)  # a dot on the source
        np.testing.assert_array_equal(drawn[59, 93], line)  # the head at the position that it filled
        assert 0 < (drawn != plain).any(axis=-1).mean() < 0.1
