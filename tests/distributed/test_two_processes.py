"""Two processes that share the samples find what one process finds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from genmetrics import distributed
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import UsageError
from genmetrics.types import Shard
from support.ranks import two_and_one

WORKER = Path(__file__).with_name("two_processes_worker.py")
KINDS = (
    "moments, folded",
    "moments, rows",
    "feature_bank",
    "softmax_sums, total known",
    "softmax_sums, total unknown",
    "content",
    "image keys",
)
SPLITS = ("uneven", "interleaved", "none")
LITE = "efficientnet-lite0.in1k"
FD, KID, ISC = f"fd.{LITE}", f"kid.{LITE}", f"isc.{LITE}"


@dataclass(frozen=True)
class Found:
    """What one process wrote."""

    states: dict[str, torch.Tensor]
    values: dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """Both processes of two, and the one of one; all three run at the same time."""
    folder = tmp_path_factory.mktemp("two_processes")
    places = two_and_one(WORKER, folder)
    return {
        name: Found(
            torch.load(folder / f"states-{rank}-of-{world_size}.pt"),
            json.loads((folder / f"found-{rank}-of-{world_size}.json").read_text()),
        )
        for name, (rank, world_size) in places.items()
    }


def test_each_process_knows_its_share(found: dict[str, Found]) -> None:
    assert {name: place.values["shard"] for name, place in found.items()} == {
        "first": [0, 2],
        "second": [1, 2],
        "alone": [0, 1],
    }


def test_values_are_gathered_by_rank_on_every_rank(found: dict[str, Found]) -> None:
    for name in ("first", "second"):
        assert found[name].values["gathered"] == [{"rank": 0}, {"rank": 1}]


def state_of(place: Found, split: str, kind: str) -> dict[str, torch.Tensor]:
    prefix = f"{split}/{kind}/"
    return {key.removeprefix(prefix): value for key, value in place.states.items() if key.startswith(prefix)}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", KINDS)
def test_merged_statistics_are_those_of_one_process(found: dict[str, Found], kind: str, split: str) -> None:
    expected = state_of(found["alone"], split, kind)
    assert expected
    for name in ("first", "second"):
        merged = state_of(found[name], split, kind)
        assert merged.keys() == expected.keys()
        for field, tensor in expected.items():
            pair = (merged[field], tensor)
            if kind == "moments, rows" and field == "rows":
                # Rows are a set; ranks bring theirs in turn.
                pair = tuple(rows[rows[:, 0].argsort()] for rows in pair)
            np.testing.assert_allclose(*(part.numpy() for part in pair), rtol=1e-12, atol=1e-12, err_msg=field)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", KINDS)
def test_both_ranks_have_the_same_bits(found: dict[str, Found], kind: str, split: str) -> None:
    first, second = (state_of(found[name], split, kind) for name in ("first", "second"))
    for field, tensor in first.items():
        assert torch.equal(tensor, second[field]), field


def test_merged_moments_are_numpys(found: dict[str, Found]) -> None:
    """One process agreeing with two says nothing if both are wrong."""
    rows = np.random.RandomState(0).standard_normal((40, 6)) + 3
    moments = Moments.from_state(state_of(found["second"], "uneven", "moments, folded"))
    assert moments.num_samples == 40
    np.testing.assert_allclose(moments.mean().numpy(), rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance().numpy(), np.cov(rows.T), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("run", ["evaluator", "evaluate"])
def test_reports_are_those_of_one_process(found: dict[str, Found], run: str) -> None:
    expected = found["alone"].values[run]
    assert list(expected["metrics"]) == [FD, KID, ISC]
    for name in ("first", "second"):
        report = found[name].values[run]
        for metric, figures in expected["metrics"].items():
            assert report["metrics"][metric]["value"] == pytest.approx(figures["value"], rel=1e-9), metric
            assert report["metrics"][metric]["warnings"] == figures["warnings"]
        assert report["gen"] == expected["gen"]
        assert report["ref"] == expected["ref"]
        assert (report["num_processes"], expected["num_processes"]) == (2, 1)


def test_advice_is_that_of_one_process(found: dict[str, Found]) -> None:
    """Copies are found across the halves of two processes; of what is said before the run only the first says it."""
    expected = found["alone"].values["advised"]
    (identical, lossy, few) = expected["advice"]
    assert identical.startswith("3 of 10 generated images are identical to another one")
    assert "'00.png' and '08.png'" in identical and "'02.png' and '09.png'" in identical
    assert lossy.startswith("2 of 10 generated images are JPEG") and few.startswith(f"{FD}: 10 generated and 12")
    assert expected["gen"]["formats"] == {"JPEG": 2, "PNG": 8}
    for name in ("first", "second"):
        advised = found[name].values["advised"]
        assert advised["advice"] == expected["advice"]
        for field in ("formats", "sizes", "digest", "num_samples"):
            assert advised["gen"][field] == expected["gen"][field], field
    assert found["first"].values["advised"]["said"] == expected["said"] != []
    assert found["second"].values["advised"]["said"] == []


def test_pairs_captions_and_steps_are_those_of_one_process(found: dict[str, Found]) -> None:
    expected = found["alone"].values["drawn"]
    assert found["first"].values["drawn"] == found["second"].values["drawn"]
    for ours, theirs in zip(found["first"].values["drawn"], expected, strict=True):
        for metric, figures in theirs["metrics"].items():
            assert ours["metrics"][metric]["value"] == pytest.approx(figures["value"], rel=1e-6), metric
            assert ours["metrics"][metric]["extra"]["std"] == pytest.approx(figures["extra"]["std"], rel=1e-6), metric
    assert [figures["extra"]["num_pairs"] for figures in expected[0]["metrics"].values()] == [91, 14]
    assert expected[1]["metrics"]["gaps_ppl"]["extra"]["num_steps"] == 11
    # Counted over the ranks, not one note for each.
    for place in found.values():
        notes = place.values["drawn"][0]["gen"]["notes"]
        assert notes == ["3 captions are longer than their network reads, and were cut off"]


@pytest.mark.parametrize("run", ["cached, a folder each", "cached, one folder"])
def test_ranks_agree_on_what_the_cache_has(found: dict[str, Found], run: str) -> None:
    expected = found["alone"].values[run][2]
    for place in found.values():
        first, second, third = place.values[run]
        assert first["metrics"] == second["metrics"]
        assert first["metrics"][FD] == third["metrics"][FD]
        for metric in (FD, KID):
            assert third["metrics"][metric]["value"] == pytest.approx(expected["metrics"][metric]["value"], rel=1e-9)
        assert {report["gen"]["num_samples"] for report in (first, second, third)} == {7}
    assert found["first"].values[run] == found["second"].values[run]


@pytest.mark.parametrize("run", ["evaluator", "evaluator, counted", "evaluate"])
def test_both_ranks_have_the_same_report(found: dict[str, Found], run: str) -> None:
    assert found["first"].values[run] == found["second"].values[run]


def test_evaluator_and_evaluate_agree(found: dict[str, Found]) -> None:
    for place in found.values():
        fed, read = place.values["evaluator"], place.values["evaluate"]
        assert fed["gen"]["digest"] == read["gen"]["digest"]
        for metric in (FD, KID, ISC):
            assert fed["metrics"][metric]["value"] == pytest.approx(read["metrics"][metric]["value"], rel=1e-9)


def test_counted_images_are_all_there_once(found: dict[str, Found]) -> None:
    """Without indices the images of all ranks count, in another order, which the Fréchet distance does not see."""
    alone, shared = (found[name].values["evaluator, counted"] for name in ("alone", "first"))
    assert shared["gen"]["num_samples"] == 14
    assert shared["gen"]["digest"] == alone["gen"]["digest"]
    assert shared["metrics"][FD]["value"] == pytest.approx(alone["metrics"][FD]["value"], rel=1e-9)


def test_one_rank_alone_would_be_noticed(found: dict[str, Found]) -> None:
    """Negative control: the numbers depend on all the images, not only on those of one rank."""
    report = found["alone"].values["evaluate"]
    assert report["metrics"][FD]["value"] > 1
    assert report["gen"]["num_samples"] == 14
    uneven = state_of(found["first"], "uneven", "moments, folded")
    rows = torch.from_numpy(np.random.RandomState(0).standard_normal((40, 6)) + 3)
    assert not torch.allclose(uneven["mean"], rows[:3].mean(dim=0), rtol=1e-3)


class TestWithoutOtherProcesses:
    def test_everything_is_the_identity(self) -> None:
        moments = Moments(3)
        assert distributed.merge_over_ranks(moments) is moments
        assert distributed.gather("value") == ["value"]
        assert distributed.current_shard() == Shard(0, 1)

    @pytest.mark.parametrize("world_size", [None, "1"])
    def test_nothing_is_joined(self, monkeypatch: pytest.MonkeyPatch, world_size: str | None) -> None:
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if world_size is not None:
            monkeypatch.setenv("WORLD_SIZE", world_size)
        monkeypatch.setattr(dist, "init_process_group", lambda *args: pytest.fail("nothing to join"))
        assert distributed.join_from_environment("gloo") is False

    def test_local_rank(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        assert distributed.local_rank() == 0
        monkeypatch.setenv("LOCAL_RANK", "3")
        assert distributed.local_rank() == 3

    def test_each_process_takes_its_own_device_before_joining(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[tuple[str, object]] = []
        monkeypatch.setenv("WORLD_SIZE", "4")
        for name, value in {"RANK": "2", "LOCAL_RANK": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(("device", device)))
        monkeypatch.setattr(dist, "init_process_group", lambda backend: calls.append(("join", backend)))
        assert distributed.join_from_environment("nccl") is True
        assert calls == [("device", 2), ("join", "cpu:gloo,cuda:nccl")]
        calls.clear()
        assert distributed.join_from_environment("gloo") is True
        assert calls == [("join", "gloo")]
        calls.clear()
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        # Too many processes on a machine are refused in words where the device is chosen.
        assert distributed.join_from_environment("nccl") is True
        assert calls == [("join", "cpu:gloo,cuda:nccl")]

    @pytest.mark.parametrize("name", ["RANK", "MASTER_ADDR", "MASTER_PORT"])
    def test_half_an_environment_is_refused(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        complete = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
        for each, value in complete.items():
            monkeypatch.setenv(each, value)
        monkeypatch.delenv(name)
        with pytest.raises(UsageError, match=rf"^WORLD_SIZE is 2, and {name} is not set: start"):
            distributed.join_from_environment("gloo")

    def test_a_number_of_processes_that_is_none_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "many")
        with pytest.raises(UsageError, match=r"^WORLD_SIZE=many: expected a whole number, as torchrun sets it$"):
            distributed.join_from_environment("gloo")
