"""What ``auto_torchrun`` starts in tests: ``exit CODES``, ``wait FOLDER`` or ``metric FOLDER``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

RANK = int(os.environ["RANK"])


def fed_metric(folder: Path) -> None:
    """FID of seven images over the ranks, as a DistributedSampler shares them out: one of them twice."""
    import torch
    import torch.distributed as dist

    import genmetrics.compat.vq.image_generation as ig
    from genmetrics.compat.vq.runners.metrics import FIDMetric

    dist.init_process_group("gloo")
    images = torch.load(folder / "images.pt")
    count, world = len(images), dist.get_world_size()
    per_rank = -(-count // world)
    places = [(RANK + world * place) % count for place in range(per_rank)]
    metric = FIDMetric(
        reference=folder / "ref.safetensors", device="cpu", weights=folder / "weights.pth", num_samples=count
    )
    for place in places:
        metric.update(images[place : place + 1], [place])
    statistician = ig.Statistician(ig.Inception(folder / "weights.pth"))
    for place in range(RANK, count, world):  # without repeats, and unevenly
        statistician(images[place : place + 1])
    value, statistics = metric.summary(), statistician.summarize()
    torch.save((value, statistics.mu, statistics.sigma), folder / f"rank{RANK}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "exit":
        sys.exit(int(rest[RANK]))
    if what == "wait":
        Path(rest[0], f"here{RANK}-{os.getpid()}").touch()
        time.sleep(60)
    elif what == "metric":
        fed_metric(Path(rest[0]))
    else:
        print(f"{RANK} of {os.environ['WORLD_SIZE']}: {' '.join(sys.argv[1:])}", flush=True)
