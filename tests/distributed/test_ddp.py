"""An Evaluator inside a training script: a sampler's padding counts once, and nothing else is let pass."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import genmetrics as gm
from genmetrics.errors import UsageError
from support.blocks import NET, registered_blocks
from support.ranks import run_ranks

sys.path.append(str(Path(__file__).parent))
from ddp_worker import FD, KID, LENGTHS, Numbered

WORKER = Path(__file__).with_name("ddp_worker.py")
COUNT = 3


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ddp")
    ended = run_ranks(WORKER, COUNT, str(folder), seconds=90)
    assert [rank.code for rank in ended] == [0] * COUNT, "\n".join(rank.log for rank in ended)
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(COUNT)]


@pytest.fixture(scope="module")
def expected() -> dict[int, dict[str, float | str]]:
    """Of each length, every image once."""
    values: dict[int, dict[str, float | str]] = {}
    with registered_blocks():
        for length in LENGTHS:
            if length > 1:
                options = {"device": "cpu", "workers": 0, "cache": False}
                report = gm.evaluate(Numbered(length).images, Numbered(40).images, [FD, KID], **options)
                values[length] = {name: result.value for name, result in report.metrics.items()}
                values[length]["digest"] = report.gen.digest
    return values


pytestmark = pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")


def test_all_ranks_see_the_same(found: list[dict[str, Any]]) -> None:
    for place in found[1:]:
        for case, values in found[0].items():
            if "error" in values:
                assert place[case]["error"] == values["error"]
            else:
                assert place[case] == values


@pytest.mark.parametrize("order", ["in order", "shuffled"])
@pytest.mark.parametrize("length", LENGTHS)
def test_padding_counts_once(
    found: list[dict[str, Any]], expected: dict[int, dict[str, float | str]], length: int, order: str
) -> None:
    values = found[0][f"{length} {order}"]
    if length == 1:
        assert "1 image" in values["text"]
        return
    assert values["count"] == length
    assert values["digest"] == expected[length]["digest"]
    for metric in (FD, KID):
        assert values[metric] == pytest.approx(expected[length][metric], rel=1e-9, abs=1e-12)
    left_out = -length % COUNT
    assert values["notes"] == [f"{left_out} images that a sampler gave again to even out the ranks were left out"]


def test_uneven_shares_count_in_full(found: list[dict[str, Any]], expected: dict[int, dict[str, float | str]]) -> None:
    values = found[0]["uneven"]
    assert (values["count"], values["digest"]) == (7, expected[7]["digest"])
    assert values[FD] == pytest.approx(expected[7][FD], rel=1e-9)


@pytest.mark.parametrize(
    ("case", "text"),
    [
        (
            "not told",
            r"2 image\(s\) were fed more than once on more than one rank \(indices \d, \d\), and would count twice",
        ),
        (
            "wraps",
            r"2 image\(s\) were fed more than once on more than one rank \(indices 0, 1\), and would count twice",
        ),
        (
            "wraps, told",
            r"1 image\(s\) were fed more than once on more than one rank \(indices 0\), .*; num_samples leaves out",
        ),
        ("drops", r"1 of num_samples=7 images were not fed, or were taken for padding \(indices \d\): feed all that a"),
        ("uneven, told", r"\d of num_samples=7 images were not fed, or were taken for padding \(indices [\d, ]+\)"),
    ],
)
def test_any_other_cut_is_found_out(found: list[dict[str, Any]], case: str, text: str) -> None:
    for place in found:
        assert place[case]["error"] == "StatisticsError"
        assert re.search(text, place[case]["text"]), place[case]["text"]


class TestArguments:
    @pytest.fixture
    def ours(self) -> gm.Evaluator:
        with registered_blocks():
            options = {"device": "cpu", "batch_size": 4, "workers": 0, "cache": False}
            return gm.Evaluator(Numbered(40).images, [FD], num_samples=7, **options)

    @pytest.mark.parametrize("length", [0, -3])
    def test_a_length_that_is_none_is_refused(self, length: int) -> None:
        with pytest.raises(UsageError, match=rf"^num_samples {length!r}: expected a whole number of at least 1$"):
            gm.Evaluator(None, [f"isc.{NET}"], num_samples=length)

    def test_indices_are_needed(self, ours: gm.Evaluator) -> None:
        with pytest.raises(UsageError, match=r"^num_samples was given, so that every update\(\) needs the indices"):
            ours.update(Numbered(7).images)

    @pytest.mark.parametrize("index", [-1, 7])
    def test_an_index_outside_is_refused(self, ours: gm.Evaluator, index: int) -> None:
        with pytest.raises(UsageError, match=rf"^index {index} is none of num_samples=7, whose indices are 0 to 6$"):
            ours.update(Numbered(2).images, torch.tensor([0, index]))
