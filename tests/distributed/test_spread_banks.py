"""Processes that hold banks together, each its own rows, find what one process finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.figures import difference
from support.ranks import run_workers

WORKER = Path(__file__).with_name("spread_banks_worker.py")
TIMEOUT_SECONDS = 120
NUM_GEN, NUM_REF = 230, 190
#: These are of counts, or of single pairs of samples, and come out the same to the last bit.
IDENTICAL = ("prc", "prdc", "clipped_dc", "realism", "authpct", "nearest", "mind", "mind_quantile")
#: What reads the whole bank in every process.
WHOLE = ("isc_inf", "mind", "mind_quantile", "sliced_wasserstein")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What each of one, of two and of three processes found; those of a group run together."""
    folder = tmp_path_factory.mktemp("spread_banks")
    temporary = tmp_path_factory.mktemp("banks")
    for size in (1, 2, 3):
        places = [(rank, size) for rank in range(size)]
        run_workers(WORKER, places, folder, TIMEOUT_SECONDS, GENMETRICS_BANK_FOLDER=str(temporary))
    assert list(temporary.iterdir()) == [], "temporary files were left behind"
    return {
        size: [json.loads((folder / f"found-{rank}-of-{size}.json").read_text()) for rank in range(size)]
        for size in (1, 2, 3)
    }


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("value", "extra", "replicates", "per_class", "per_image")}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_as_in_the_memory_of_one_process(found: dict[int, list[dict[str, Any]]], size: int) -> None:
    expected = found[1][0]["in memory"]
    compared = 0
    for rank in found[size]:
        for case, result in rank["results"].items():
            name = case.split(",")[0]
            assert result["spread"] is (size > 1), case
            off = difference(_figures(result), _figures(expected[name]))
            assert off <= (0 if name in IDENTICAL else 1e-9), (case, off)
            compared += 1
    assert compared >= 29 * size
    for name in ("kid_full", "cmmd", "prc", "nearest", "mind_quantile"):
        assert expected[name]["replicates"]["gen"], name
    assert expected["kid"]["extra"]["se"] > 0
    # The comparison tells metrics apart that differ in a setting only.
    assert difference(expected["mind"]["value"], expected["mind_quantile"]["value"]) > 1e-9


@pytest.mark.parametrize("size", [2, 3])
def test_all_processes_find_the_same(found: dict[int, list[dict[str, Any]]], size: int) -> None:
    for others in found[size][1:]:
        for case, result in found[size][0]["results"].items():
            assert _figures(others["results"][case]) == _figures(result), case


@pytest.mark.parametrize("size", [2, 3])
def test_no_process_has_all_rows_at_once(found: dict[int, list[dict[str, Any]]], size: int) -> None:
    for rank in found[size]:
        for case, result in rank["results"].items():
            if case.endswith(("even", "interleaved")) and case.split(",")[0] not in WHOLE:
                most = max(result["most_held"]) + result["most_received"]
                assert most < NUM_REF * (0.8 if size == 2 else 0.6), case
                # Of the others only moments are exchanged.
                of_moments = ("fid_influence", "intra_fid", "fdr", "fid_inf")
                assert result["most_received"] > 0 or case.split(",")[0] in of_moments, case


@pytest.mark.parametrize("size", [2, 3])
def test_what_is_refused(found: dict[int, list[dict[str, Any]]], size: int) -> None:
    for rank in found[size]:
        assert rank["refusals"]["twice"].startswith("image index 49 occurs more than once")
        assert rank["refusals"]["state"] == (
            f"the {50 * size} feature rows are spread over {size} processes; call collect() in all of them first"
        )
        assert rank["refusals"]["collected"] == "True"
        assert not any(result["spread"] for result in rank["in memory"].values())
