"""What one rank fails with all raise, soon and in the same words, and none is left waiting."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from support.ranks import Ended, run_ranks

WORKER = Path(__file__).with_name("failing_worker.py")
TIMEOUT = 3.0
SECONDS = 100
Seen = list[dict[str, Any]]


def run(folder: Path, count: int, *arguments: str) -> tuple[list[Ended], Seen]:
    ended = run_ranks(WORKER, count, str(folder), *arguments, seconds=SECONDS, GENMETRICS_RANK_TIMEOUT=str(TIMEOUT))
    seen = []
    for rank, process in enumerate(ended):
        path = folder / f"seen-{rank}.json"
        assert process.code is not None, f"rank {rank} did not end within {SECONDS} s\n{process.log}"
        seen.append(json.loads(path.read_text()) if path.exists() else {})
    return ended, seen


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Ended], Seen]:
    return run(tmp_path_factory.mktemp("three"), 3)


@pytest.fixture(scope="module")
def seen(three: tuple[list[Ended], Seen]) -> Seen:
    ended, seen = three
    assert [process.code for process in ended] == [0, -signal.SIGKILL, 0], "\n".join(rank.log for rank in ended)
    return seen


@pytest.mark.parametrize(
    ("case", "rank", "kind", "text"),
    [
        ("reading", 1, "SourceError", r"the disk fell out"),
        ("reading, the first", 0, "SourceError", r"the disk fell out"),
        ("bad image", 2, "BadImageError", r"1 image cannot be read: x\.png"),
        ("opening", 1, "SourceError", r"'/nowhere/at/all' does not exist .*"),
        (
            "options",
            2,
            "UsageError",
            r"the ranks of one run differ: seed is 3 on rank 2 and 4 on rank 0; alpha is white on rank 2 and drop on "
            r"rank 0\. Start all ranks with the same",
        ),
        (
            "other images",
            1,
            "UsageError",
            r"the ranks of one run differ: the digest of the names and contents of the generated images is \w{64} on "
            r"rank 1 and \w{64} on rank 0\. Start all ranks with the same",
        ),
        (
            "other function",
            1,
            "UsageError",
            r"the ranks of one run differ: the function is compute_stats on rank 1 and evaluate on rank 0\. Start .*",
        ),
    ],
)
def test_an_error_of_one_rank_is_raised_on_all(seen: Seen, case: str, rank: int, kind: str, text: str) -> None:
    for number, place in enumerate(seen):
        assert place[case]["error"] == kind
        told = text if number == rank else rf"rank {rank}: {text}"
        assert re.fullmatch(told, place[case]["text"]), place[case]["text"]
        assert place[case]["of rank"] == (None if number == rank else rank)
        # Without it the shares would take ten seconds each.
        assert place[case]["seconds"] < 3


def test_images_that_cannot_be_read_are_named_on_all_ranks(seen: Seen) -> None:
    assert [place["bad image"]["images"] for place in seen] == [[["x.png", "no image"]]] * 3


def test_a_defect_of_one_rank_is_told_to_all_with_its_traceback(seen: Seen) -> None:
    own = seen[2]["foreign"]
    assert (own["error"], own["text"]) == ("ZeroDivisionError", "a network of straw")
    for place in seen[:2]:
        assert place["foreign"]["error"] == "DistributedError"
        assert place["foreign"]["text"] == "rank 2 failed with ZeroDivisionError: a network of straw"
        assert 'raise ZeroDivisionError("a network of straw")' in place["foreign"]["told"]
        assert place["foreign"]["seconds"] < 3


def test_an_interrupt_of_one_rank_interrupts_all(seen: Seen) -> None:
    assert [place["interrupt"]["error"] for place in seen] == ["KeyboardInterrupt"] * 3
    assert seen[0]["interrupt"]["text"] == seen[2]["interrupt"]["text"] == "rank 1 was interrupted"


def test_an_error_that_all_ranks_meet_is_everyones_own_and_one_speaks(seen: Seen) -> None:
    errors = [place["the same on all"] for place in seen]
    text = "10 images were asked for, and 'tensor 9x3x6x6 uint8' has 9; lower --num"
    # Whoever comes to it after another has said it is told.
    assert {error["text"].removeprefix(f"rank {error['of rank']}: ") for error in errors} == {text}
    assert [error["of rank"] for error in errors].count(None) == 1


@pytest.mark.parametrize("case", ["own options", "no images", "slow", "inside another run"])
def test_what_may_differ_does_not_matter(seen: Seen, case: str) -> None:
    """Batch sizes, a rank without images, one that takes longer than the process group's timeout of 2 s."""
    assert len({place[case]["result"] for place in seen if case in place}) == 1
    if case == "slow":
        assert all(place[case]["seconds"] > 3 for place in seen)
        assert seen[0][case]["result"] == seen[0]["alone"]["result"]


def test_ranks_that_wait_for_one_that_never_called_are_warned(seen: Seen) -> None:
    """Such as where only the first rank calls evaluate()."""
    for rank in (0, 1):
        text = (
            f"only 2 of 3 ranks have called evaluate, and rank {rank} waits for the others: every rank has to call it"
        )
        assert f"after 3 s {text}" in seen[rank]["late"]["result"]
    assert seen[2]["late"]["result"] == "[]"


def test_an_update_that_fails_is_known_to_those_who_compute(seen: Seen) -> None:
    text = "the features of 2 image(s) contain NaN or infinity (indices 1, 4); no number computed"
    assert seen[1]["update"]["update"].startswith(text)
    assert seen[1]["update"]["compute"]["text"].startswith("an earlier batch failed, so that what was fed is not known")
    for place in (seen[0], seen[2]):
        assert place["update"]["compute"]["error"] == "StatisticsError"
        assert place["update"]["compute"]["text"].startswith(f"rank 1: {text}")
    assert [place["update"]["after reset"]["result"] for place in seen] == ["30"] * 3


def test_a_sample_that_two_ranks_count_is_refused_by_all(seen: Seen) -> None:
    for place in seen:
        assert place["indices"]["twice"]["error"] == "StatisticsError"
        assert place["indices"]["twice"]["text"].startswith(
            "2 image(s) were fed more than once on more than one rank (indices 3, 6), and would count twice;"
        )
        assert "some ranks gave indices with their images and others did not" in place["indices"]["mixed"]["text"]
        assert "the number of reset() calls is 1 on rank 2 and 2 on rank 0" in place["indices"]["not reset"]["text"]


def test_bytes_of_a_run_can_be_counted(seen: Seen) -> None:
    assert all(sum(place["traffic"]) > 1000 for place in (seen[0], seen[2]))


def test_a_killed_rank_is_missed(seen: Seen) -> None:
    """Nothing watches these processes but they themselves."""
    for place in (seen[0], seen[2]):
        first, second = place["killed"]["first"], place["killed"]["second"]
        assert first["error"] == second["error"] == "DistributedError"
        assert first["text"].startswith(
            "rank 1 has given no sign for 3 s: its process was killed or is stopped, or its"
        )
        assert second["text"] == first["text"]
        assert TIMEOUT - 1 < first["seconds"] < TIMEOUT + 5
        assert second["seconds"] < 4


def test_a_killed_rank_that_kept_the_store_is_missed(tmp_path: Path) -> None:
    ended, (_, second) = run(tmp_path, 2, "the first is killed")
    assert [process.code for process in ended] == [-signal.SIGKILL, 0], ended[1].log
    for case in ("first", "second"):
        assert second["killed"][case]["error"] == "DistributedError"
        assert second["killed"][case]["text"].startswith(
            "the store through which the ranks find one another, which rank"
        )
        assert second["killed"][case]["seconds"] < TIMEOUT + 5
