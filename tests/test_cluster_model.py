"""The paper model of a cluster: its formulas and its simulation against cases that can be counted by hand."""

import json
import re
from dataclasses import replace

import pytest
from conftest import load_script, says

from harness.cluster import Cluster, Photo, Prices, all_reduce_seconds, saturation, simulate

ONE = [Photo(0.5, 1000, 1000)]
IDEAL = Cluster(
    actors=1,
    start=2,
    dispatch=1e12,
    store_reads=1e12,
    store_writes=1e12,
    store_latency=0,
    gigabits=1e12,
    slow_share=0,
    failures=0,
    kills_an_hour=0,
)


@pytest.fixture(scope="module")
def script():
    return load_script("benchmarks/cluster_model").main


def test_an_all_reduce():
    """Two devices exchange half of the bytes twice; of many each sends twice the bytes."""
    assert all_reduce_seconds(10**9, 2, 8, latency=0) == pytest.approx(1)
    assert all_reduce_seconds(10**9, 10**6, 8, latency=0) == pytest.approx(2, rel=1e-5)
    assert all_reduce_seconds(0, 5, 8, latency=0.001) == pytest.approx(0.008)


def test_actors_that_nothing_disturbs():
    outcome = simulate(ONE, 100, IDEAL)
    assert (outcome.seconds, outcome.computing) == pytest.approx((52, 50))
    assert (outcome.filled, outcome.attempts, outcome.kills, outcome.lost) == (100, 100, 0, 0)
    assert simulate(ONE, 100, replace(IDEAL, actors=10)).seconds == pytest.approx(7)
    assert simulate(ONE, 100, replace(IDEAL, actors=200)).seconds == pytest.approx(2.5)


def test_a_slow_actor_gets_fewer_photos():
    """Of two actors one takes three times as long: three of four photos go to the other."""
    outcome = simulate(ONE, 400, replace(IDEAL, actors=2, slow_share=0.5, slow_factor=3))
    assert outcome.seconds == pytest.approx(2 + 300 * 0.5, abs=1.5)


@pytest.mark.parametrize(
    "rates", [{"store_writes": 10}, {"store_reads": 20}, {"dispatch": 10}, {"gigabits": 2000 * 8 * 10 / 1e9}]
)
def test_a_rate_that_is_full(rates):
    """Each lets ten photos a second through, and a hundred actors ask for two hundred."""
    cluster = replace(IDEAL, actors=100, start=0, **rates)
    assert simulate(ONE, 1000, cluster).seconds == pytest.approx(100, rel=0.03)
    name, (rate, actors) = next(iter(saturation(ONE, cluster).items()))
    assert (rate, actors) == pytest.approx((10, 5)), name


def test_every_photo_is_filled_once_whatever_fails():
    cluster = replace(IDEAL, actors=7, failures=0.3, kills_an_hour=600)
    outcome = simulate(ONE, 2000, cluster)
    assert outcome.filled == 2000 and outcome.computing == pytest.approx(1000)
    assert outcome.attempts == pytest.approx(2000 / 0.7 / 0.92, rel=0.1) and outcome.kills > 100
    assert outcome.lost > outcome.kills * cluster.start
    assert simulate(ONE, 2000, cluster) == outcome != simulate(ONE, 2000, replace(cluster, seed=1))


def test_dollars():
    """A million photos of half a second are 139 hours of a core, two million reads and a million writes."""
    outcome = simulate(ONE, 1000, replace(IDEAL, start=0))
    assert Prices().of_million(1, outcome) == pytest.approx(1e6 * 0.5 / 3600 * 0.04 + 0.8 + 5)


def test_the_script(script, tmp_path, capsys):
    times = tmp_path / "times.json"
    assert script(["--measure", str(times), "--samples", "2"]) == 0
    photos = json.loads(times.read_text())
    assert len(photos) == 2 and all(photo["seconds"] > 0 and photo["bytes_out"] > 1000 for photo in photos)
    assert script(["--times", str(times), "--photos", "300", "--actors", "1,30", "--failures", "0.1"]) == 0
    text = capsys.readouterr().out
    rows = {row.split(" | ")[0]: row.split(" | ") for row in re.findall(r"^\| (\d.*) \|$", text, re.MULTILINE)}
    assert "230.8 MB of gradients" in text and rows["256"][1:] == ["49.2", "29.7", "20.0", "15.1", "12.6"]
    assert float(rows["30"][1]) <= float(rows["1"][1]) and "| reads of the object store | 2,750 |" in text


def test_what_the_script_refuses(script, tmp_path, capsys):
    (tmp_path / "times.json").write_text('[{"seconds": 1}]')
    for path in ("times.json", "none.json"):
        says(capsys, 2, "--times must be a file that --measure wrote", script(["--times", str(tmp_path / path)]))
    (tmp_path / "times.json").write_text('[{"seconds": 1, "bytes_in": 1, "bytes_out": 1}]')
    for options, message in (
        (["--actors", "0"], "`--actors` must be 1 or more"),
        (["--actors", "many"], "`--actors` must be a list of numbers, separated by commas"),
        (["--gigabits", "0"], "`--gigabits` must be above 0"),
        (["--photos", "0"], "`--photos` must be 1 or more"),
    ):
        says(capsys, 2, message, script(["--times", str(tmp_path / "times.json"), *options]))
    (tmp_path / "times.json").write_text("[]")
    says(capsys, 2, "lists no photo", script(["--times", str(tmp_path / "times.json")]))
