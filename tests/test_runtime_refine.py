"""The shift map at the photo's own resolution: parts against slow loops, the whole on photos with a known answer."""

import itertools

import numpy as np
import pytest
from conftest import PHOTOS

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.photos.windows import Window, bounds
from shiftnet_tf.runtime import refine
from shiftnet_tf.runtime.filling import ArrayCanvas
from shiftnet_tf.runtime.refine import alignment, arrays, blend, candidates, detail, energy, healing, multigrid, solver


def tiles(shape, period, seed=0):
    """A photo that repeats itself exactly: uint8 [H, W, 3]."""
    tile = np.random.default_rng(seed).integers(0, 256, (*period, 3), dtype=np.uint8)
    return np.tile(tile, (-(-shape[0] // period[0]), -(-shape[1] // period[1]), 1))[: shape[0], : shape[1]]


def box_mask(shape, *box):
    mask = np.zeros(shape, bool)
    mask[Window(*box).slices] = True
    return mask


def filled(image, mask, guide=128, **options):
    """The photo with its hole filled, the guide one grey or a photo."""
    canvas = ArrayCanvas(np.where(mask[..., np.newaxis], np.uint8(guide), image))
    found = refine.refine(canvas, mask, [bounds(mask)], **options)
    return (canvas.image, *found) if found else canvas.image


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_cells_blur_erosion_and_patches():
    picture = np.random.default_rng(0).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    assert np.allclose(arrays.cell_means(picture)[1, 2], picture[2:4, 4:6].mean((0, 1)))
    assert arrays.cell_means(np.full((2, 2, 3), 255, np.uint8))[0, 0, 0] == 255  # no overflow of uint8
    mask = np.zeros((4, 6), bool)
    mask[1, 3] = True
    assert np.argwhere(arrays.any_in_cells(mask)).tolist() == [[0, 1]]
    flat = np.full((9, 9, 1), 7, np.float32)
    assert np.allclose(arrays.blurred(flat, 2), 7)
    spot = np.zeros((31, 31, 1), np.float32)
    spot[15, 15] = 1
    around = np.arange(-5, 6)
    weights = np.exp(-(around**2) / 8)
    assert np.allclose(arrays.blurred(spot, 2)[15, 10:21, 0], weights * weights.max() / weights.sum() ** 2, atol=1e-6)
    full = np.ones((5, 7), bool)
    assert np.argwhere(arrays.eroded(full, 2)).tolist() == [[2, 2], [2, 3], [2, 4]]
    assert arrays.depths(full)[2].tolist() == [1, 2, 3, 3, 3, 2, 1] and not arrays.depths(~full).any()
    windows = arrays.patches(picture, 3)
    assert windows.shape == (6, 8, 3, 3, 3) and np.array_equal(windows[2, 5, 1], picture[1:4, 4:7, 1])
    assert np.array_equal(windows[0, 0, 1], picture[[0, 0, 1]][:, [0, 0, 1], 1])  # beyond the borders what lies there
    assert arrays.positions(mask).tolist() == [[1], [3]]


@pytest.mark.parametrize("length", [0, 1, 5, 23])
def test_threads_share_the_parts_of_a_range(length):
    times = np.zeros(length, int)

    def count(part):
        assert 0 < len(times[part]) <= 5
        times[part] += 1

    arrays.in_threads(count, length, 5)
    assert (times == 1).all()


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        arrays.in_threads(lambda part: 1 // (part.start - 5), 23, 5)


# -- candidates --------------------------------------------------------------------------------------------------------


def test_a_photo_that_repeats_itself_gives_its_period():
    picture = tiles((60, 64), (15, 16)).astype(np.float32)
    found = candidates.dominant_offsets(picture, np.ones((60, 64), bool), 12)
    assert len(found) and not (found % (15, 16)).any() and (found != 0).any(1).all()
    assert {(15, 0), (-15, 0), (0, 16), (0, -16)} <= {tuple(offset) for offset in found.tolist()}


def test_no_patch_is_known():
    source = np.zeros((20, 20), bool)
    source[:, :3] = True
    assert candidates.dominant_offsets(np.zeros((20, 20, 3), np.float32), source).shape == (0, 2)
    offsets = candidates.candidates(np.zeros((20, 20, 3), np.float32), source)
    assert len(offsets) == 80 and np.abs(offsets).max() == 12  # the grid alone


# -- energy ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene():
    """(Source, float32 picture, bool source) of noise with a hole in its middle."""
    rng = np.random.default_rng(1)
    picture = rng.uniform(0, 255, (12, 13, 3)).astype(np.float32)
    source = ~box_mask((12, 13), 4, 5, 4, 4)
    return energy.Source(picture, source), picture, source


def usable(source, place):
    return all(0 <= x < n for x, n in zip(place, source.shape)) and source[place]


def test_data_costs_are_those_of_a_slow_loop(scene):
    image, picture, source = scene
    nodes, guide = np.argwhere(~source), np.random.default_rng(2).uniform(0, 255, picture.shape).astype(np.float32)
    offsets = np.array([(-4, 0), (0, 5), (1, 1), (-9, -9), (6, -3), (40, 0)], np.int32)
    smooth = energy.Source(np.where(source[..., np.newaxis], picture, guide), source)
    found = energy.data_costs(image, smooth, ~source, offsets).T
    reach = range(-energy.RIM_REACH, energy.RIM_REACH + 1)
    for i, p in enumerate(map(tuple, nodes)):
        for j, o in enumerate(map(tuple, offsets)):
            target = p[0] + o[0], p[1] + o[1]
            if not usable(source, target):
                assert found[i, j] == energy.FORBIDDEN
                continue
            cost = energy.GUIDE * min(np.abs(picture[target] - guide[p]).sum(), energy.GUIDE_CAP)
            for step in itertools.product(reach, reach):
                k = p[0] + step[0], p[1] + step[1]
                if 0 < abs(step[0]) + abs(step[1]) <= energy.RIM_REACH and usable(source, k):
                    moved = k[0] + o[0], k[1] + o[1]
                    lack = energy.RIM_UNKNOWN
                    if usable(source, moved):
                        lack = np.abs(picture[moved] - picture[k]).sum()
                        lack += lack**2 / 20
                    cost += energy.RIM * lack
            assert found[i, j] == pytest.approx(cost, rel=1e-5)


def test_seam_costs_are_those_of_a_slow_loop(scene):
    image, picture, source = scene
    first, second = np.array([(4, 5), (5, 6)], np.int32), np.array([(4, 6), (6, 6)], np.int32)
    own = np.array([[(-4, 0), (0, 5), (0, 1)], [(-4, 0), (5, 0), (-3, 3)]], np.int32)
    other = np.array([[(-4, 0), (3, 3), (0, -5)], [(2, 2), (5, 0), (0, -4)]], np.int32)
    lines = (first.T[:, np.newaxis], second.T[:, np.newaxis], own.T[:, np.newaxis], other.T[:, np.newaxis])
    found = np.moveaxis(energy.seam_costs(image, *lines)[0], -1, 0)
    for i, a, b in itertools.product(range(2), range(3), range(3)):
        cost = 0 if (own[i, a] == other[i, b]).all() else energy.CHANGE
        for p in (first[i], second[i]) if cost else ():
            x, y = tuple(p + own[i, a]), tuple(p + other[i, b])
            both = usable(source, x) and usable(source, y)
            lack = np.abs(picture[x] - picture[y]).sum()
            cost += lack + lack**2 / 20 if both else energy.SEAM_UNKNOWN
        assert found[i, a, b] == pytest.approx(cost, rel=1e-5)


# -- solver ------------------------------------------------------------------------------------------------------------


def cost_of(labels, data, across, down):
    height, width = labels.shape
    cost = sum(data[i, j, labels[i, j]] for i in range(height) for j in range(width))
    cost += sum(across[i, j, labels[i, j], labels[i, j + 1]] for i in range(height) for j in range(width - 1))
    return cost + sum(down[i, j, labels[i, j], labels[i + 1, j]] for i in range(height - 1) for j in range(width))


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 3)])
def test_the_solver_finds_the_least_cost(shape):
    """Exact on chains; on this small grid with one loop it finds it too."""
    rng = np.random.default_rng(3)
    (height, width), number = shape, 3
    data = rng.uniform(0, 1, (*shape, number)).astype(np.float32)
    across = rng.uniform(0, 1, (height, width - 1, number, number)).astype(np.float32)
    down = rng.uniform(0, 1, (height - 1, width, number, number)).astype(np.float32)
    lines = data.transpose(0, 2, 1), across.transpose(1, 2, 3, 0), down.transpose(0, 2, 3, 1)
    found = solver.solve(*map(np.ascontiguousarray, lines), 8)
    every = (np.reshape(labels, shape) for labels in itertools.product(range(number), repeat=height * width))
    least = min(cost_of(labels, data, across, down) for labels in every)
    assert cost_of(found, data, across, down) == pytest.approx(least, rel=1e-6)


# -- alignment ---------------------------------------------------------------------------------------------------------


def test_an_offset_that_is_one_position_off_is_aligned():
    picture = tiles((40, 48), (10, 12)).astype(np.float32)
    hole = box_mask((40, 48), 14, 16, 8, 9)
    label, table = alignment.aligned(
        np.zeros((8, 9), int),
        np.array([[11], [1]], np.int32),
        energy.Source(picture, ~hole),
        hole[14:22, 16:25],
        (14, 16),
    )
    offsets = table.T[label]
    assert (offsets % (10, 12) == 0).all(-1).mean() > 0.9  # what would leave the known part keeps its offset


# -- blend -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 9), (17, 30), (33, 40)])
def test_multigrid_solves_what_a_dense_solver_does(shape):
    rng = np.random.default_rng(4)
    unknown = rng.random(shape) < 0.8
    unknown[0, 0] = False
    across = (unknown[:, 1:] & unknown[:, :-1]).astype(np.float32)
    down = (unknown[1:] & unknown[:-1]).astype(np.float32)
    padded = np.pad(~unknown, 1)
    beside = sum(padded[1 + i : 1 + i + shape[0], 1 + j : 1 + j + shape[1]].astype(float) for i, j in arrays.BESIDE)
    fixed = (np.maximum(beside, 0.1) * unknown).astype(np.float32)  # no part without a known neighbour
    grid = multigrid.Grid(across, down, fixed)
    right = (rng.normal(0, 30, (3, *shape)) * unknown).astype(np.float32)
    found = multigrid.solve(grid, right, tolerance=1e-3, rounds=60)
    size = shape[0] * shape[1]
    matrix = np.stack(
        [grid.apply(row.reshape(1, *shape), slice(0, shape[0]))[0].ravel() for row in np.eye(size, dtype=np.float32)]
    )
    at = np.flatnonzero(unknown)
    exact = np.linalg.solve(matrix[np.ix_(at, at)].astype(float), right.reshape(3, -1)[:, at].T).T
    assert np.abs(found.reshape(3, -1)[:, at] - exact).max() < 0.02
    assert not found[:, ~unknown].any()


def test_a_copy_from_a_brighter_place_takes_the_brightness_of_its_surroundings():
    rows, columns = np.mgrid[0:40, 0:60]
    ramp = np.repeat((rows + 2 * columns)[..., np.newaxis], 3, -1).astype(np.uint8)
    hole = box_mask((40, 60), 10, 10, 12, 14)
    part = Window(9, 9, 14, 16)
    offsets = np.zeros((2, 14, 16), np.int32)
    offsets[:, 1:-1, 1:-1] = [[[3]], [[25]]]
    offsets[:, 1:-1, 8:-1] = [[[-8]], [[20]]]
    pixels = np.where(hole[..., np.newaxis], np.uint8(0), ramp)
    out = blend.blended(energy.Source(pixels, ~hole), *(x[part.slices] for x in (pixels, hole, ~hole)), offsets, (9, 9))
    assert np.abs(out.astype(int) - ramp[part.slices]).max() <= 1
    assert np.array_equal(out[~hole[part.slices]], ramp[part.slices][~hole[part.slices]])


def test_two_kinds_of_matter_that_meet_leave_no_haze(monkeypatch):
    """A hole at the border of dark and light is filled with dark: the light beside it does not leak into it."""
    photo = np.where(np.arange(60) < 34, 40, 200).astype(np.uint8)
    photo = np.broadcast_to(photo[np.newaxis, :, np.newaxis], (40, 60, 3))
    hole = box_mask((40, 60), 10, 20, 12, 14)
    part = Window(9, 19, 14, 16)
    offsets = np.zeros((2, 14, 16), np.int32)
    offsets[1] = -16
    haze = []
    for tolerated in (blend._TOLERATED, np.float32(1e6)):  # the second: equal weights
        monkeypatch.setattr(blend, "_TOLERATED", tolerated)
        parts = (x[part.slices] for x in (photo, hole, ~hole))
        out = blend.blended(energy.Source(photo, ~hole), *parts, offsets, (9, 19))
        haze.append(np.abs(out[hole[part.slices]].astype(int) - 40).mean())
    assert haze[0] < 5 and haze[1] > 20


def test_the_guide_corrects_colours_and_leaves_detail_alone():
    """A copy that is 20 grey levels too bright in the middle of a hole, guided by the same without its stripes."""
    rows, columns = np.mgrid[0:160, 0:300]
    stripes = 100 + 30.0 * (columns // 4 % 2)
    photo = np.where(columns < 160, stripes, stripes + 20 * np.sin(np.pi * (rows - 20) / 120))
    photo = np.repeat(np.round(photo).astype(np.uint8)[..., np.newaxis], 3, -1)
    hole = box_mask((160, 300), 20, 20, 120, 120)
    pixels = np.where(hole[..., np.newaxis], np.uint8(115), photo)
    part = Window(19, 19, 122, 122)
    offsets = np.zeros((2, 122, 122), np.int32)
    offsets[1, 1:-1, 1:-1] = 152  # stripes upon stripes
    parts = [x[part.slices] for x in (pixels, hole, ~hole)]
    source = energy.Source(photo, ~hole)
    bright, guided = (
        blend.blended(source, *parts, offsets, (19, 19), guided=guided)[41:81, 41:81].astype(float)
        for guided in (False, True)
    )
    assert bright.mean() > 126 and guided.mean() < 120, (bright.mean(), guided.mean())
    assert np.std(guided, axis=1).mean() > 0.98 * np.std(bright, axis=1).mean()


# -- the whole ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, box",
    [
        ((330, 340), (90, 100, 132, 130)),  # on a coarse grid of cells of 2
        ((200, 220), (60, 70, 80, 70)),
        ((200, 220), (60, 70, 30, 40)),  # on pixels
        ((200, 220), (0, 0, 60, 60)),  # in a corner
        ((201, 219), (120, 100, 81, 119)),  # in the other one, odd sizes
        ((200, 220), (100, 0, 1, 220)),  # a strip of one pixel
    ],
)
def test_a_photo_that_repeats_itself_is_restored(shape, box, monkeypatch):
    monkeypatch.setattr(blend, "_GUIDE", 0)  # a plain grey one, which would pull the colours towards it
    image = tiles(shape, (16, 20))
    smooth = arrays.blurred(image.astype(np.float32), 1)  # no pixel noise, as photos have none
    image = np.round(smooth).astype(np.uint8)
    mask = box_mask(shape, *box)
    out = filled(image, mask)
    assert np.array_equal(out[~mask], image[~mask])
    wrong = np.abs(out[mask].astype(int) - image[mask]).max(-1) > 3
    assert wrong.mean() < 0.11, wrong.mean()


def test_what_lies_in_the_hole_is_never_copied_and_the_answer_is_the_same_each_time():
    image = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")
    mask = box_mask(image.shape[:2], 150, 120, 90, 110) | box_mask(image.shape[:2], 160, 260, 60, 50)
    box = Window(150, 120, 90, 110)
    answers = []
    for seed in (0, 1):
        noise = np.random.default_rng(seed).integers(0, 256, image.shape, dtype=np.uint8)
        canvas = ArrayCanvas(np.where(mask[..., np.newaxis], noise, image))
        ((_, shift_map),) = refine.refine(canvas, mask, [box], guided=False, return_shift_maps=True)
        around = refine.detail.region(box, mask.shape)
        rows, columns = np.divmod(shift_map[shift_map >= 0], around.width)
        assert not mask[rows + around.top, columns + around.left].any()
        assert (shift_map >= 0).sum() == 90 * 110 and np.array_equal(canvas.image[~mask], image[~mask])
        answers.append(shift_map)
    assert np.array_equal(*[np.isin(answer, -1) for answer in answers])


@pytest.mark.parametrize(
    "weight, contrast, off", [(energy.GUIDE, 40, 15), (energy.GUIDE, 180, 0), (np.float32(1), 90, 15)]
)
def test_the_guide_decides_between_two_kinds_of_matter(weight, contrast, off, monkeypatch):
    """Left half dark, right half lighter, a hole across both: the guide moves the border, but not a strong edge.

    `off`: pixels from the border at the rim to that of the guide, in grey levels `contrast` apart.
    """
    monkeypatch.setattr("shiftnet_tf.runtime.refine.shift_map.GUIDE", weight)
    monkeypatch.setattr("shiftnet_tf.runtime.refine.shift_map.heal", lambda *x: x[4])  # which draws borders straight
    rng = np.random.default_rng(5)
    image = rng.integers(0, 9, (160, 200, 3), dtype=np.uint8)
    image[:, 100:] += contrast
    mask = box_mask((160, 200), 50, 60, 60, 80)
    found = []
    for border in (85, 115):
        guide = np.where(np.arange(200) < border, 4, 4 + contrast)[np.newaxis, :, np.newaxis]
        out = filled(image, mask, np.broadcast_to(guide, image.shape).astype(np.uint8))
        found.append(60 + np.argmax(out[70:90, 60:140].mean((0, 2)) > 4 + contrast / 2))
    assert abs(100 - off - found[0]) < 3 and abs(100 + off - found[1]) < 3, found


def test_without_a_known_pixel_near_by_the_answer_of_the_network_stays(monkeypatch):
    image = np.zeros((40, 40, 3), np.uint8)
    mask = np.ones((40, 40), bool)
    mask[0, 0] = False  # one pixel, on the coarse grid none
    monkeypatch.setattr("shiftnet_tf.runtime.refine.shift_map._NODES", 100)
    out, (window, shift_map) = filled(image, mask, 77, return_shift_maps=True)
    assert (out[mask] == 77).all() and window == Window(0, 0, 40, 40) and (shift_map == -1).all()


def test_too_little_memory_is_said(monkeypatch, caplog):
    monkeypatch.setattr("shiftnet_tf.runtime.refine.detail.available_memory", lambda: 10**6)
    mask = box_mask((300, 300), 100, 100, 90, 110)
    with pytest.raises(InputError, match="a hole of 110x90 needs about 0.0 GB of memory"):
        filled(tiles((300, 300), (16, 20)), mask)
    assert not refine.copies(mask, bounds(mask)) and refine.copies(mask, bounds(mask), "shift-map")
    assert "keeping the network's output instead" in caplog.text


def test_a_fill_tells_its_progress_and_can_be_cancelled_at_each_step():
    class Cancelled(Exception):
        pass

    image, mask, shares = tiles((200, 220), (16, 20)), box_mask((200, 220), 60, 70, 80, 70), []
    filled(image, mask, progress=shares.append)
    assert len(shares) >= 6 and shares == sorted(shares) and shares[0] == 0 and 0.3 < shares[-1] < 1
    for last in shares:

        def progress(share, last=last):
            if share == last:
                raise Cancelled

        with pytest.raises(Cancelled):
            filled(image, mask, progress=progress)


@pytest.mark.parametrize("size, expected", [((1, 500), 1), ((9, 40), 5), ((10, 40), 5), ((300, 400), 152)])
def test_depth(size, expected):
    assert abs(detail.depth(np.ones(size, bool)) - expected) <= max(size) // 128


def test_what_auto_takes():
    wide, thin = box_mask((400, 500), 100, 100, 80, 90), box_mask((400, 500), 100, 100, 4, 90)
    assert refine.copies(wide, bounds(wide)) and not refine.copies(thin, bounds(thin))
    assert not refine.copies(wide, bounds(wide), "model") and refine.copies(thin, bounds(thin), "shift-map")
    with pytest.raises(InputError, match="one of auto, model, shift-map"):
        refine.copies(wide, bounds(wide), "best")


# -- healing -----------------------------------------------------------------------------------------------------------


def broken_tiles():
    """A photo that repeats itself, its hole filled by a right offset, but for a strip with a wrong one."""
    image = tiles((60, 90), (12, 15), 3).astype(np.float32)
    hole = box_mask((60, 90), 20, 40, 14, 20)
    offsets = np.zeros((2, 60, 90), np.int32)
    offsets[1, hole] = -30
    offsets[:, 20:34, 50:53] = [[[5]], [[28]]]
    filled = image.copy()
    filled[hole] = image[tuple(np.nonzero(hole) + offsets[:, hole])]
    return image, hole, offsets, filled


def test_a_wrong_strip_is_healed():
    image, hole, offsets, filled = broken_tiles()
    assert (filled[hole] != image[hole]).any(-1).mean() > 0.1
    found = healing.heal(np.where(hole[..., np.newaxis], 77, image), filled, hole, ~hole, offsets)
    sources = tuple(np.nonzero(hole) + found[:, hole])
    assert (~hole)[sources].all()
    assert np.array_equal(image[sources], image[hole])  # each pixel from where it repeats


@pytest.mark.parametrize("corner", [(0, 0), (46, 70), (20, 40)])  # at the photo's edges too
def test_distances_and_votes_are_those_of_slow_loops(corner, monkeypatch):
    monkeypatch.setattr(healing, "_COMPONENTS", 7 * 7 * 3)  # all: no approximation
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (60, 90, 3)).astype(np.float32)
    hole = box_mask((60, 90), *corner, 14, 20)
    filled = rng.uniform(0, 255, image.shape).astype(np.float32)
    search = healing._Search(image, hole, arrays.eroded(~hole, 3))
    places = search.first(np.zeros((2, 60, 90), np.int32))
    padded, known = np.pad(filled, ((3, 3), (3, 3), (0, 0)), mode="edge"), image
    monkeypatch.setattr(healing, "_GAIN", 0)  # no search: the distances of what it begins with
    _, found = search.improve(search.project(filled, search.targets), places)
    targets, sources = (np.stack(np.unravel_index(at, (60, 90)), 1) for at in (search.targets, places))
    for i in range(0, len(places), 37):
        (row, column), (to_row, to_column) = targets[i], sources[i]
        own = padded[row : row + 7, column : column + 7]
        other = known[to_row - 3 : to_row + 4, to_column - 3 : to_column + 4]
        assert found[i] == pytest.approx(((own - other) ** 2).sum(), rel=1e-3)
    votes = search.vote(image, hole, places, found)
    softness = 0.1 * np.median(found) + 1e-3
    for i, p in enumerate(np.argwhere(hole)[::61]):
        near = (np.abs(targets - p) <= 3).all(1)
        weights = 1 / (found[near] + softness) ** 2
        expected = np.average(image[tuple((p + sources[near] - targets[near]).T)], axis=0, weights=weights)
        assert votes[61 * i] == pytest.approx(expected, rel=1e-3)


def test_the_search_finds_what_is_nearer():
    """Each position that replaces another has at most a fifth of its distance, which is that of all components."""
    image, hole, offsets, filled = broken_tiles()
    search = healing._Search(image, hole, arrays.eroded(~hole, 3))
    own, places = search.project(filled, search.targets), search.first(offsets)
    found, distances = search.improve(own, places)
    before, after = (arrays.squares(own - search.project(image, at)) for at in (places, found))
    moved = found != places
    assert moved.any() and (after[moved] < 0.2 * before[moved] + 1e-3).all()
    assert np.allclose(distances, after, rtol=1e-4, atol=1e-2)


def test_where_no_whole_patch_is_known_the_offsets_stay():
    image, hole, offsets, filled = broken_tiles()
    source = np.zeros_like(hole)
    source[::4, ::4] = True
    assert healing.heal(image, filled, hole, source, offsets) is offsets
