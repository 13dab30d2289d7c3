"""The classical methods: known pixels stay, the hole is filled, the same each time."""

import numpy as np
import pytest

from shiftnet_tf.errors import InputError
from shiftnet_tf.evaluation import baselines
from shiftnet_tf.photos import pixels


@pytest.mark.parametrize("name", ["telea", "ns", "biharmonic", "patchmatch"])
def test_each_method(photo, name):
    image, mask = (pixels.resize_image(photo[0], 96, 128), pixels.resize_mask(photo[1], 96, 128))
    method = baselines.baseline(name)
    white = pixels.composite(np.full_like(image, 255), image, mask)
    inpainted = method(white, mask)
    assert inpainted.dtype == np.uint8 and inpainted.shape == image.shape
    np.testing.assert_array_equal(inpainted[mask == 0], image[mask == 0])
    grass = image[mask == 0].mean(axis=0)
    assert np.abs(inpainted[mask == 1].mean(axis=0) - grass).max() < 30  # the sheep was white, its hole 255
    np.testing.assert_array_equal(method(white, mask), inpainted)


def test_another_name():
    with pytest.raises(InputError, match="must be one of telea, ns, biharmonic, patchmatch. Received: 'magic'"):
        baselines.baseline("magic")
