"""Any number of processes find what one finds, of sets smaller and larger than their number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.ranks import run_ranks, write_images

WORKER = Path(__file__).with_name("any_number_worker.py")
SIZES = (1, 4, 7, 101)
COUNTS = (2, 3, 5)
#: Metrics of which the order of the samples, and that of sums, is no part: counts of neighbours and of copies.
ORDER_FREE = ("prc", "prdc", "clipped_dc", "authpct", "nearest")
SECONDS = 120


@dataclass(frozen=True)
class Found:
    """What one rank wrote."""

    values: dict[str, Any]
    states: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("any_number")
    write_images(home / "ref", 60, 9)
    for size in SIZES:
        write_images(home / f"gen-{size}", size, size)
    return home


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[int, list[Found]]:
    """What the ranks of each number of them found."""
    everything = {}
    for count in (1, *COUNTS):
        ended = run_ranks(WORKER, count, str(folder), seconds=SECONDS)
        assert [rank.code for rank in ended] == [0] * count, "\n".join(rank.log for rank in ended)
        everything[count] = [
            Found(
                json.loads((folder / f"found-{rank}-of-{count}.json").read_text()),
                torch.load(folder / f"states-{rank}-of-{count}.pt"),
            )
            for rank in range(count)
        ]
    return everything


@pytest.mark.parametrize("count", COUNTS)
def test_statistics_are_those_of_one_process(found: dict[int, list[Found]], count: int) -> None:
    expected = found[1][0].states
    assert len({name.split("/")[0] for name in expected}) == len(SIZES)
    furthest = 0.0
    for rank in found[count]:
        assert rank.states.keys() == expected.keys()
        for name, tensor in expected.items():
            ours, theirs = rank.states[name].double(), tensor.double()
            if name.endswith("/rows"):  # those of moments are a set, which ranks bring in turn
                ours, theirs = (rows[np.lexsort(rows.T.numpy())] for rows in (ours, theirs))
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-9, err_msg=name)
            if theirs.numel():
                furthest = max(furthest, float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)))
    print(f"{count} processes: statistics differ by at most {furthest:.1e} of the largest")


@pytest.mark.parametrize("count", COUNTS)
def test_all_ranks_have_the_same_bits(found: dict[int, list[Found]], count: int) -> None:
    first, *others = found[count]
    for rank in others:
        assert rank.values["figures"] == first.values["figures"]
        assert all(torch.equal(rank.states[name], tensor) for name, tensor in first.states.items())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", COUNTS)
def test_metrics_are_those_of_one_process(found: dict[int, list[Found]], count: int, size: int) -> None:
    expected = found[1][0].values["figures"][str(size)]
    ours = found[count][0].values["figures"][str(size)]
    assert len(expected) > 18
    assert {name for name in expected if isinstance(expected[name], dict)} <= ours.keys()
    statistics = found[count][0].values["of statistics"][str(size)], found[1][0].values["of statistics"][str(size)]
    assert statistics[0].keys() == statistics[1].keys()
    computed = 0
    for name in ours:
        figures = expected[name]
        if isinstance(figures, str):
            assert ours[name] == figures, "the same error in the same words"
            continue
        computed += 1
        if name.split(".")[0] in ORDER_FREE:
            assert ours[name] == figures, name
            continue
        assert ours[name]["warnings"] == figures["warnings"]
        for key in figures.keys() - {"warnings", "per image"}:
            assert ours[name][key] == pytest.approx(figures[key], rel=1e-7, abs=1e-9), (name, key)
        for column, values in figures["per image"].items():
            assert ours[name]["per image"][column] == pytest.approx(values, rel=1e-6), (name, column)
    assert computed >= {1: 1, 4: 8, 7: 10, 101: 15}[size], "most metrics can be had of a few images"


def test_other_images_would_be_noticed(found: dict[int, list[Found]]) -> None:
    """Negative control: of a set of seven and one of 101 no number is the same to this tolerance."""
    small, large = (found[1][0].values["figures"][size] for size in ("7", "101"))
    both = [name for name in small if isinstance(small[name], dict) and isinstance(large[name], dict)]
    assert len(both) > 8
    for name in both:
        if not name.startswith(("authpct", "prc", "clipped_dc")):
            assert small[name]["value"] != pytest.approx(large[name]["value"], rel=1e-4), name


@pytest.mark.parametrize("count", [1, *COUNTS])
def test_each_image_counts_once(found: dict[int, list[Found]], count: int) -> None:
    for rank in found[count]:
        for size in SIZES:
            side = rank.values["side"][str(size)]
            assert side["count"] == size
            assert side["digest"] == found[1][0].values["side"][str(size)]["digest"]


@pytest.mark.parametrize("count", [1, *COUNTS])
def test_progress_is_of_all_ranks_never_falls_and_ends_at_the_total(found: dict[int, list[Found]], count: int) -> None:
    for rank in found[count]:
        for size in SIZES:
            records = rank.values["progress"][str(size)]
            done = [record[0] for record in records]
            assert done == sorted(done)
            assert {record[1] for record in records} == {size}
            assert done[-1] == size


@pytest.mark.parametrize("count", [1, *COUNTS])
def test_exchanges_bring_the_same_to_all(found: dict[int, list[Found]], count: int) -> None:
    for rank in found[count]:
        assert rank.values["exchanged"] == {
            "gathered": [{"rank": other} for other in range(count)],
            "of the first": [0, "first"],
            "all": [[[count - 1.0] * 3, [[other] for other in range(count)]]] * 2,
        }


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_sent_is_what_is_received(found: dict[int, list[Found]], count: int) -> None:
    """Each rank but the first sends its statistics once and receives the merged once: no rank all of everybody's."""
    traffic = found[count][0].values["side"]["101"]["traffic"]
    assert sum(sent for sent, _ in traffic) == sum(received for _, received in traffic) > 0
    leaves = [rank for rank in range(1, count) if rank % 2]
    statistics = 101 * (12 * 4 + 5 * 4 + 3 * 8) + 12 * 13 * 8
    for rank in leaves:
        sent, received = traffic[rank]
        assert sent < received
        assert received < 4 * statistics
