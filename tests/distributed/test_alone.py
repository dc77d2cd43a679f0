"""Work that a process shares with no other, in the middle of a process group."""

from __future__ import annotations

import pytest
import torch.distributed as dist

from genmetrics import distributed
from genmetrics.types import Shard


@pytest.fixture
def two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("is_initialized", True), ("get_world_size", 2), ("get_rank", 1)):
        monkeypatch.setattr(dist, name, lambda value=value: value)


def test_there_are_no_others_inside(two_ranks):
    assert distributed.current_shard() == Shard(1, 2)
    with distributed.alone():
        assert distributed.current_shard() == Shard()
        with distributed.shared_run("a run") as run:
            assert run is None
    assert distributed.current_shard() == Shard(1, 2)


def test_also_after_an_error(two_ranks):
    @distributed.alone()
    def fail() -> None:
        assert distributed.current_shard() == Shard()
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            fail()
    assert distributed.current_shard() == Shard(1, 2)
