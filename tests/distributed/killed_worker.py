"""The command ``eval`` on a source of which the last rank is interrupted, killed, or has a defect.

Usage: ``python killed_worker.py interrupt|kill|defect FOLDER``, with the environment of a rank.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from genmetrics.cli.main import main
from genmetrics.sources.arrays import NpySource
from genmetrics.sources.base import BatchSpec, ImageBatch
from genmetrics.types import Shard

sys.path.append(str(Path(__file__).parents[1]))

from support.blocks import NET, registered_blocks

HOW = sys.argv[1]


def batches(self: NpySource, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
    """An image each half second, if nothing comes between."""
    for index in range(60):
        time.sleep(0.5)
        if index == 2 and shard.index == shard.count - 1:
            if HOW == "defect":
                raise ZeroDivisionError("a defect")
            os.kill(os.getpid(), signal.SIGINT if HOW == "interrupt" else signal.SIGKILL)
        yield ImageBatch(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([index]))


if __name__ == "__main__":
    NpySource.batches = batches
    images = f"{sys.argv[2]}/images.npy"
    sys.argv = ["genmetrics", "eval", images, "-m", "isc", "--extractor", NET, "--device", "cpu", "--no-cache"]
    with registered_blocks():
        main()
