"""The patch-wise soft shift against recorded values of the authors' code and against a slow loop in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import SoftShiftConnection


def slow_soft_shift(decoder, encoder, mask, score_fusion):
    """One pair of patches at a time: [H, W, C], [H, W, C], [H, W] -> shifted [H, W, C], weights [N, N]."""
    height, width, channels = decoder.shape
    places = [(row, column) for row in range(height) for column in range(width)]

    def patch(x, place):
        padded = np.pad(x.astype(float), ((1, 1), (1, 1), (0, 0)))
        return padded[place[0] : place[0] + 3, place[1] : place[1] + 3]

    known = np.array([patch(mask[..., None], place).sum() <= 4 for place in places])
    sources = [patch(encoder, place) for place in places]
    lengths = [max(np.linalg.norm(source), 1e-4) for source in sources]
    scores = np.array([[np.sum(patch(decoder, y) * s) / n for s, n in zip(sources, lengths)] for y in places])
    if score_fusion:
        for number in (lambda y: y[0] * width + y[1], lambda y: y[1] * height + y[0]):
            order = sorted(range(len(places)), key=lambda i: number(places[i]))
            line = scores[np.ix_(order, order)]
            summed = line.copy()
            summed[1:, 1:] += line[:-1, :-1]
            summed[:-1, :-1] += line[1:, 1:]
            scores[np.ix_(order, order)] = summed
    scores = np.where(known, scores, 0.0)
    weights = np.exp(10 * (scores - scores.max(axis=1, keepdims=True)))
    weights = weights / weights.sum(axis=1, keepdims=True) * known
    shifted = np.zeros((height + 2, width + 2, channels))
    for (row, column), row_of_weights in zip(places, weights):
        shifted[row : row + 3, column : column + 3] += np.tensordot(row_of_weights, sources, axes=1)
    return shifted[1:-1, 1:-1] / 9, weights


class WithTheSlip(SoftShiftConnection):
    """As released: the encoder features are cut into patches across channels and places."""

    def _sources(self, features):
        height, width, channels = features.shape[1:]
        patches = tf.reshape(super()._sources(features), [-1, height, width, 3, 3, channels])
        patches = tf.reshape(tf.transpose(patches, [0, 5, 1, 2, 3, 4]), [-1, height * width, channels, 3, 3])
        return tf.reshape(tf.transpose(patches, [0, 1, 3, 4, 2]), [-1, height * width, 9 * channels])


def random_case(seed, shape=(3, 5, 7, 4)):
    rng = np.random.default_rng(seed)
    decoder, encoder = rng.normal(size=(2, *shape)).astype(np.float32)
    mask = np.zeros((*shape[:3], 1), np.float32)
    for i in range(shape[0]):
        top, left = rng.integers(0, shape[1] - 2), rng.integers(0, shape[2] - 3)
        mask[i, top : top + 2 + i, left : left + 3 + i] = 1
    return decoder, encoder, mask


@pytest.mark.parametrize("score_fusion", [False, True])
def test_equals_the_authors_values(reference, score_fusion):
    recorded = reference(f"patch_soft_shift_fuse{int(score_fusion)}")
    keys = ("former", "latter", "feature_mask", "output")
    decoder, encoder, mask, output = (recorded[key].transpose(0, 2, 3, 1) for key in keys)
    layer = WithTheSlip(score_fusion)
    np.testing.assert_allclose(layer(decoder, encoder, mask), output, atol=1e-5)


@pytest.mark.parametrize("score_fusion", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_a_slow_loop(score_fusion, jit_compile):
    decoder, encoder, mask = random_case(1)
    layer = SoftShiftConnection(score_fusion)
    run = tf.function(lambda *x: layer(*x, return_shift_map=True), jit_compile=jit_compile)
    joined, shift_map = run(*map(tf.constant, (decoder, encoder, mask)))
    for i in range(len(decoder)):
        shifted, weights = slow_soft_shift(decoder[i], encoder[i], mask[i, ..., 0], score_fusion)
        expected = np.concatenate([decoder[i], encoder[i], shifted], axis=-1)
        np.testing.assert_allclose(joined[i], expected, atol=1e-5)
        hole = mask[i, ..., 0] == 1
        strongest = (weights * ~hole.ravel()).argmax(axis=1).reshape(hole.shape)  # of the patches around known places
        np.testing.assert_array_equal(shift_map[i].numpy()[hole], strongest[hole])
        assert (shift_map[i].numpy()[~hole] == -1).all()


def test_each_image_of_a_batch_has_its_own_mask():
    decoder, encoder, mask = random_case(2)
    layer = SoftShiftConnection(score_fusion=True)
    apart = [layer(decoder[i : i + 1], encoder[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]
    np.testing.assert_allclose(layer(decoder, encoder, mask), np.concatenate(apart), atol=1e-6)


@pytest.mark.parametrize("case", ["all zero", "nothing known", "no hole", "huge values", "negative scores"])
def test_the_borders_are_defined(case):
    decoder, encoder, mask = random_case(3)
    if case == "all zero":
        decoder[:], encoder[:] = 0, 0
    elif case == "nothing known":
        mask[:] = 1
    elif case == "no hole":
        mask[:] = 0
    elif case == "negative scores":  # far below 0: every weight of a known patch is next to 0
        decoder, encoder = 10 * np.abs(decoder), -np.abs(encoder)
    else:
        decoder, encoder = 1e12 * decoder, 1e12 * encoder
    joined, shift_map = SoftShiftConnection(True)(decoder, encoder, mask, return_shift_map=True)
    assert np.isfinite(joined).all()
    shift_map, hole = shift_map.numpy(), mask[..., 0] == 1
    assert (shift_map[~hole] == -1).all()
    for one_map, one_hole in zip(shift_map, hole):
        sources = one_map[one_hole]
        assert (sources == -1).all() if one_hole.all() else not one_hole.ravel()[sources].any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_both_features_have_gradients(jit_compile):
    decoder, encoder, mask = random_case(4)
    encoder[:, 1:4, 1:4] = 0  # a patch of zeros alone

    @tf.function(jit_compile=jit_compile)
    def gradients(decoder, encoder, mask):
        with tf.GradientTape() as tape:
            tape.watch([decoder, encoder])
            shifted = SoftShiftConnection()(decoder, 0.1 * encoder, mask)[..., 8:]
        return tape.gradient(shifted, [decoder, encoder])

    for gradient in gradients(*map(tf.constant, (decoder, encoder, mask))):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_refuses_what_does_not_fit():
    features = tf.zeros([1, 8, 8, 4])
    with pytest.raises(ValueError, match=r"must have the shape \[B, 8, 8, 1\]"):
        SoftShiftConnection()(features, features, tf.zeros([1, 4, 4, 1]))


def test_round_trip_through_its_config():
    layer = SoftShiftConnection(True, name="shift")
    config = SoftShiftConnection.from_config(layer.get_config()).get_config()
    assert config == layer.get_config() and config["score_fusion"]
