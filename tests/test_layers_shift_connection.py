"""The shift connection against a slow loop in numpy and against recorded values of the authors' code."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.layers import RandomShiftConnection, ShiftConnection


def slow_shift(decoder, mask, *sources):
    """One position at a time, straight from the paper: [H, W, C], [H, W], [H, W, C] each -> shifted, shift map."""
    height, width, _ = decoder.shape
    shifted, shift_map = np.zeros_like(decoder), np.full((height, width), -1)
    for y in np.argwhere(mask == 1):
        best = -np.inf
        for number, source in enumerate(sources):
            for x in np.argwhere(mask == 0):
                d, e = decoder[tuple(y)].astype(float), source[tuple(x)].astype(float)
                length = np.linalg.norm(d) * np.linalg.norm(e)
                similarity = d @ e / length if length > 0 else 0.0
                if similarity > best:
                    best, shift_map[tuple(y)] = similarity, (number * height + x[0]) * width + x[1]
                    shifted[tuple(y)] = source[tuple(x)]
    return shifted, shift_map


def random_case(seed, shape=(3, 6, 9, 5)):
    rng = np.random.default_rng(seed)
    decoder, encoder = rng.normal(size=(2, *shape)).astype(np.float32)
    mask = (rng.uniform(size=(*shape[:3], 1)) < rng.uniform(0.1, 0.9, size=(shape[0], 1, 1, 1))).astype(np.float32)
    return decoder, encoder, mask


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_slow_loop(seed):
    decoder, encoder, mask = random_case(seed)
    joined, shift_map = ShiftConnection()(decoder, encoder, mask, return_shift_map=True)
    for i in range(len(decoder)):
        expected, expected_map = slow_shift(decoder[i], mask[i, ..., 0], encoder[i])
        np.testing.assert_array_equal(joined[i], np.concatenate([decoder[i], encoder[i], expected], axis=-1))
        np.testing.assert_array_equal(shift_map[i], expected_map)


@pytest.mark.parametrize("seed", range(3))
def test_the_more_similar_of_two_sources_wins(seed):
    decoder, encoder, mask = random_case(seed)
    mirrored = np.random.default_rng(100 + seed).normal(size=encoder.shape).astype(np.float32)
    joined, shift_map = ShiftConnection()(decoder, encoder, mask, mirrored, return_shift_map=True)
    assert shift_map.numpy().max() >= 6 * 9  # some come from the second source
    for i in range(len(decoder)):
        expected, expected_map = slow_shift(decoder[i], mask[i, ..., 0], encoder[i], mirrored[i])
        np.testing.assert_array_equal(joined[i], np.concatenate([decoder[i], encoder[i], expected], axis=-1))
        np.testing.assert_array_equal(shift_map[i], expected_map)


def test_a_random_shift_is_from_known_positions_whatever_the_features():
    decoder, encoder, mask = random_case(1)
    joined, shift_map = RandomShiftConnection(seed=3)(decoder, encoder, mask, return_shift_map=True)
    scores = np.random.default_rng(3).random((1, 54, 54), np.float32)[0]
    for i in range(len(mask)):
        hole = mask[i].ravel() == 1
        expected = np.where(hole, np.where(hole, -1, scores).argmax(axis=1), -1)
        np.testing.assert_array_equal(shift_map[i].numpy().ravel(), expected)
        np.testing.assert_array_equal(
            joined[i, ..., 10:].numpy()[mask[i, ..., 0] == 1], encoder[i].reshape(54, 5)[expected[hole]]
        )
    _, again = RandomShiftConnection(seed=3)(encoder, decoder, mask, return_shift_map=True)
    np.testing.assert_array_equal(again, shift_map)
    _, other = RandomShiftConnection(seed=4)(decoder, encoder, mask, return_shift_map=True)
    assert (other.numpy() != shift_map.numpy()).mean() > 0.2


@pytest.mark.parametrize("name", ["shift_center", "shift_freeform", "shift_batch"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_the_authors_values_and_gradients(reference, name, jit_compile):
    values = {key: array.transpose(0, 2, 3, 1) for key, array in reference(name).items()}

    @tf.function(jit_compile=jit_compile)
    def run(decoder, encoder, mask, grad_output):
        with tf.GradientTape() as tape:
            tape.watch([decoder, encoder])
            output = ShiftConnection()(decoder, encoder, mask)
        return output, *tape.gradient(output, [decoder, encoder], output_gradients=grad_output)

    arguments = [tf.constant(values[key]) for key in ("former", "latter", "feature_mask", "grad_output")]
    output, grad_decoder, grad_encoder = run(*arguments)
    np.testing.assert_allclose(output, values["output"], atol=1e-5)
    np.testing.assert_allclose(grad_decoder, values["grad_former"], atol=1e-5)
    np.testing.assert_allclose(grad_encoder, values["grad_latter"], atol=1e-5)


def test_each_image_of_a_batch_has_its_own_mask():
    decoder, encoder, mask = random_case(7)
    together = ShiftConnection()(decoder, encoder, mask)
    apart = [ShiftConnection()(decoder[i : i + 1], encoder[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]
    np.testing.assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize(
    "case", ["zero decoder", "zero encoder", "no known position", "no hole", "huge values", "negative similarity"]
)
def test_the_borders_are_defined(case):
    decoder, encoder, mask = random_case(3)
    if case == "zero decoder":
        decoder[:] = 0
    elif case == "zero encoder":
        encoder[:] = 0
    elif case == "no known position":
        mask[:] = 1
    elif case == "no hole":
        mask[:] = 0
    elif case == "huge values":
        decoder, encoder = decoder * 1e12, encoder * 1e12
    else:
        decoder, encoder = np.abs(decoder), -np.abs(encoder)
    joined, shift_map = ShiftConnection()(decoder, encoder, mask, return_shift_map=True)
    shift_map, hole = shift_map.numpy(), mask[..., 0] == 1
    assert np.isfinite(joined).all()
    if case in ("no known position", "no hole"):
        assert (shift_map == -1).all() and not joined.numpy()[..., 10:].any()
        return
    assert (shift_map[~hole] == -1).all() and (shift_map[hole] >= 0).all()
    known = ~hole.reshape(len(hole), -1)
    assert all(known[i][shift_map[i][hole[i]]].all() for i in range(len(hole)))


def test_refuses_what_does_not_fit():
    features, mask = tf.zeros([1, 8, 8, 4]), tf.zeros([1, 8, 8, 1])
    with pytest.raises(ValueError, match=r"same static shape.*\(1, 8, 8, 4\) and \(1, 8, 8, 3\)"):
        ShiftConnection()(features, features[..., :3], mask)
    with pytest.raises(
        ValueError, match=r"`feature_mask` must have the shape \[B, 8, 8, 1\]. Received: \(1, 4, 4, 1\)"
    ):
        ShiftConnection()(features, features, mask[:, :4, :4])
    with pytest.raises(ValueError, match=r"same static shape.*\(1, 8, 8, 4\) and \(1, 4, 8, 4\)"):
        ShiftConnection()(features, features, mask, features[:, :4])


def test_round_trip_through_its_config():
    layer = ShiftConnection(name="shift")
    assert ShiftConnection.from_config(layer.get_config()).name == "shift"
    layer = RandomShiftConnection(seed=5)
    assert RandomShiftConnection.from_config(layer.get_config()).seed == 5
