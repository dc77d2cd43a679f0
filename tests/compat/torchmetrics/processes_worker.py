"""torchmetrics' metrics, ours and its own, as one of several ranks; ``test_processes.py`` starts it.

Usage: ``python processes_worker.py FOLDER``, with the environment of a rank. It writes what it found to FOLDER.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.append(str(Path(__file__).parents[2]))
from support.colours import Colours
from support.peers import import_peer

MetricCollection = import_peer("torchmetrics").MetricCollection
TheirKid = import_peer("torchmetrics.image.kid").KernelInceptionDistance
ours = import_peer("genmetrics.compat.torchmetrics.image")

REAL, FAKE = 31, 31
#: Batches of the two ranks, or three, of the real images and of the generated ones: 4 and 3; 5, 1 and none; all in one.
SHARES = {
    "4 and 3 batches": ([[4, 4, 5, 4], [6, 4, 4], []], [[6, 5, 3], [5, 5, 4, 3], []]),
    "one rank has none": ([[10, 21], [], []], [[31], [], []]),
    "either side is elsewhere": ([[31], [], []], [[], [27, 4], []]),
    "5, 1 and 0 batches": ([[2, 4, 2, 1, 12], [10], []], [[1], [3, 8, 10, 9], []]),
}


def images(count: int, seed: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    colours = torch.randint(0, 200, (count, 3, 1, 1), generator=noise)
    return (colours + torch.randint(0, 56, (count, 3, 6, 6), generator=noise)).to(torch.uint8)


def network(dtype: torch.dtype = torch.float64) -> Colours:
    """12 features: fewer than images, and more than there are in some shares."""
    return Colours(2, dtype)


def metrics() -> dict[str, Any]:
    """With subsets and splits that hold all images, so that no draw decides; and KID and the score with draws."""
    return {
        "fid": ours.FrechetInceptionDistance(network()),
        "fid of few": ours.FrechetInceptionDistance(Colours(6, torch.float64)),
        "kid": ours.KernelInceptionDistance(network(), subsets=2, subset_size=REAL),
        "mifid": ours.MemorizationInformedFrechetInceptionDistance(network()),
        "isc": ours.InceptionScore(network(), splits=1),
        "kid of draws": ours.KernelInceptionDistance(network(torch.float32), subsets=4, subset_size=5),
        "isc of draws": ours.InceptionScore(network(), splits=5),
    }


def feed(metric: Any, batch: torch.Tensor, real: bool) -> None:
    if not isinstance(metric, ours.InceptionScore):
        metric.update(batch, real=real)
    elif not real:
        metric.update(batch)


def figures(value: Any) -> list[float]:
    return [float(part) for part in value] if isinstance(value, tuple) else [float(value)]


def share_of(rank: int, sizes: list[list[int]], whole: torch.Tensor) -> list[torch.Tensor]:
    """The batches of a rank."""
    return list(whole.split([size for each in sizes for size in each]))[
        sum(map(len, sizes[:rank])) : sum(map(len, sizes[: rank + 1]))
    ]


def measured(name: str, share: str, rank: int) -> list[float]:
    metric = metrics()[name]
    for real, sizes, whole in zip((True, False), SHARES[share], (images(REAL, 1), images(FAKE, 2)), strict=True):
        for batch in share_of(rank, sizes, whole):
            feed(metric, batch, real)
    local = held(metric)
    torch.manual_seed(100 + rank)
    found = figures(metric.compute())
    assert held(metric) == local  # feeding goes on from what this rank alone has
    return found


def held(metric: Any) -> list[int]:
    """How many samples a rank has of each state."""
    return [
        sum(map(len, state)) if isinstance(state, list) else abs(int(state[-1, 0]))
        for state in (getattr(metric, name) for name in metric._defaults)
    ]


def even(kid: Any, rank: int, world: int) -> list[float]:
    """The same number of batches everywhere, with each rank's own seed."""
    metric = kid(network(), subsets=4, subset_size=5)
    for batch in images(16 * world, 1).chunk(world)[rank].split(4):
        metric.update(batch, real=True)
        metric.update(batch.flip(0) // 2, real=False)
    torch.manual_seed(100 + rank)
    return figures(metric.compute())


def in_a_collection(rank: int) -> dict[str, list[float]]:
    """Two epochs, in which the real images of the first are kept."""
    collection = MetricCollection(
        {
            "fid": ours.FrechetInceptionDistance(network(), reset_real_features=False),
            "kid": ours.KernelInceptionDistance(network(), subsets=2, subset_size=REAL, reset_real_features=False),
        }
    )
    real, fake = SHARES["4 and 3 batches"]
    for batch in share_of(rank, real, images(REAL, 1)):
        collection.update(batch, real=True)
    for seed in (5, 2):
        for batch in share_of(rank, fake, images(FAKE, seed)):
            collection.update(batch, real=False)
        found = {name: figures(value) for name, value in collection.compute().items()}
        collection.reset()
    return found


def on_step(rank: int) -> list[float]:
    """``dist_sync_on_step``: a call gives the number of all ranks' batches of that step."""
    metric = ours.FrechetInceptionDistance(network(), reset_real_features=False, dist_sync_on_step=True)
    real, _ = SHARES["4 and 3 batches"]
    for batch in share_of(rank, real, images(REAL, 1)):
        metric.update(batch, real=True)
    mine = images(FAKE, 2).split([20, 11, 0])[rank]
    found = figures(metric(mine, real=False))
    return [*found, *figures(metric.compute())]


def by_hand(rank: int) -> list[float]:
    """``sync_on_compute=False``: a rank's own number, and after ``sync`` everybody's."""
    metric = ours.FrechetInceptionDistance(network(), sync_on_compute=False)
    metric.update(images(REAL, 1).split([16, 15, 0])[rank], real=True)
    metric.update(images(FAKE, 2).split([16, 15, 0])[rank], real=False)
    metric.sync()
    return figures(metric.compute())  # which undoes it


def main(folder: Path) -> None:
    """Measure everything and write it down."""
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    found: dict[str, Any] = {f"{name}, {share}": measured(name, share, rank) for share in SHARES for name in metrics()}
    found["even, ours"], found["even, theirs"] = (
        even(ours.KernelInceptionDistance, rank, world),
        even(TheirKid, rank, world),
    )
    found["collection"] = in_a_collection(rank)
    found["on step"] = on_step(rank)
    found["by hand"] = by_hand(rank)
    (folder / f"found-{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
