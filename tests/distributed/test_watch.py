"""What a rank's watch takes for an error of the run that it is in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch.distributed import distributed_c10d

from genmetrics.distributed.board import Board
from genmetrics.distributed.failures import Failure
from genmetrics.distributed.watch import Watch
from genmetrics.errors import StatisticsError

FAILURE = Failure.of(StatisticsError("one image is none"), rank=1)


class Posted(Board):
    """A board on which run 1 has failed, where something happens while it answers."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile
        self.added: list[str] = []

    def failure(self, scope: str) -> Failure | None:
        self.meanwhile()
        return FAILURE if scope == "run/1" else None

    def add(self, key: str, count: int) -> int:
        self.added.append(key)
        return count


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Of rank 0 of two, in run 1."""
    group = type("Group", (), {})()
    monkeypatch.setattr(distributed_c10d, "_get_default_group", lambda: group)
    watch = Watch(0, 2)
    watch.attend(("run/1",))
    return watch


def test_an_error_of_this_run_is_raised_and_acknowledged_once(watch: Watch) -> None:
    board = Posted(lambda: None)
    for _ in range(2):
        watch.look_for_failures(board)
        with pytest.raises(StatisticsError, match=r"^rank 1: one image is none$"):
            watch.check()
    watch.acknowledge(board, "run/1")
    assert board.added == ["seen/run/1"]


@pytest.mark.parametrize("scopes", [(), ("run/2",), ("run/2", "evaluator/1")])
def test_an_error_that_is_found_as_its_run_ends_is_none_of_the_next_ones(watch: Watch, scopes: tuple[str, ...]) -> None:
    """Callers may catch an error that all ranks raise, and go on; the board keeps it."""
    board = Posted(lambda: watch.attend(scopes))
    watch.look_for_failures(board)
    watch.check()
    assert board.added == []
