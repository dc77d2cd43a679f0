"""One of several processes that make a report with diagnostics; ``test_diagnostics.py`` starts it.

Usage: ``python diagnostics_worker.py RANK WORLD_SIZE FOLDER``. It writes what it found to FOLDER, which has the images.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import torch.distributed as dist

from genmetrics import distributed
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.row_storage import LIMIT
from genmetrics.engine import galleries, prepare
from genmetrics.engine.evaluate import evaluate

sys.path.append(str(Path(__file__).parents[1]))
from support.blocks import NET, registered_blocks

#: Feature banks that are in every process; that are spread over them; and of which a part is compared.
CASES = {
    "in memory": ("1G", 10**6),
    "spread": ("0", 10**6),
    "a part, in memory": ("1G", 25),
    "a part, spread": ("0", 25),
}


def report(folder: Path) -> dict[str, Any]:
    """The report as values, whether any bank was spread, and how often this process read images again."""
    spread, read = [], []
    spreading, reading = FeatureBank.spread, prepare.thumbnails

    def watched(bank: FeatureBank, peers: Any) -> FeatureBank | None:
        found = spreading(bank, peers)
        spread.append(found is not None)
        return found

    def noted(*arguments: Any) -> Any:
        read.append(arguments)
        return reading(*arguments)

    with mock.patch.object(FeatureBank, "spread", watched), mock.patch.object(prepare, "thumbnails", noted):
        made = evaluate(
            folder / "gen",
            folder / "ref",
            ["fid"],
            extractor=NET,
            device="cpu",
            batch_size=4,
            workers=0,
            labels="folders",
            error_bars="off",
            diagnostics=True,
        )
    return {"report": made.to_dict(), "spread": spread, "read": len(read)}


def main(rank: int, world_size: int, folder: Path) -> None:
    """All cases, written down."""
    if world_size > 1:
        meeting = f"file://{folder / 'meeting'}"
        dist.init_process_group("gloo", meeting, timedelta(seconds=90), world_size, rank)
    found = {}
    with registered_blocks():
        for name, (limit, most) in CASES.items():
            os.environ[LIMIT] = limit
            with mock.patch.object(galleries, "_MOST_NEIGHBOURS", most):
                found[name] = report(folder)
    (folder / f"found-{rank}-of-{world_size}.json").write_text(json.dumps(found))
    if world_size > 1:
        distributed.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
