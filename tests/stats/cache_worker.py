"""One of several processes on one cache: ``python cache_worker.py FOLDER``; fails if it sees anything wrong."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

from genmetrics.accumulators.moments import Moments
from genmetrics.stats.cache import StatsCache
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, Need, SideRecord

NEED = Need("net.v1", "squash", "pool", "moments")
WIDTH = 40


def make(seed: int) -> Stats:
    moments = Moments(WIDTH)
    moments.update(torch.randn(90, WIDTH, generator=torch.Generator().manual_seed(seed)), torch.arange(90))
    record = ExtractorRecord("0" * 64, True, "exact")
    return Stats({NEED: moments}, SideRecord("real", "folder", 90, "a" * 64), {"net.v1": record}, 2020)


def main() -> None:
    warnings.simplefilter("error")
    cache = StatsCache(Path(sys.argv[1]), max_bytes=100_000)
    made = [make(number) for number in range(4)]
    for turn in range(60):
        cache.put({"n": turn % 4}, made[turn % 4])
        wanted = (turn * 3) % 4
        held = cache.get({"n": wanted})
        if held is not None:
            ours, theirs = held.accumulators[NEED], made[wanted].accumulators[NEED]
            assert isinstance(ours, Moments) and isinstance(theirs, Moments)
            assert torch.equal(ours.mean(), theirs.mean())
        if turn % 13 == 5:
            cache.clear()


if __name__ == "__main__":
    main()
