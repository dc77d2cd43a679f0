"""A training script with an Evaluator in it, as one of several ranks; ``test_ddp.py`` starts it.

Usage: ``python ddp_worker.py FOLDER``, with the environment of a rank. It writes what it found to FOLDER.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

import genmetrics as gm
from genmetrics.errors import GenmetricsError, GenmetricsWarning

sys.path.append(str(Path(__file__).parents[1]))
from support.blocks import NET, registered_blocks

LENGTHS = (1, 2, 7, 101)
FD, KID = f"fd.{NET}", f"kid.{NET}"


class Numbered(Dataset):
    """Images with their indices."""

    def __init__(self, length: int) -> None:
        noise = torch.Generator().manual_seed(length)
        colours = torch.randint(0, 200, (length, 3, 1, 1), generator=noise)
        self.images = (colours + torch.randint(0, 56, (length, 3, 6, 6), generator=noise)).to(torch.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], index


def evaluator(length: int | None) -> gm.Evaluator:
    ref = Numbered(40).images
    return gm.Evaluator(ref, [FD, KID], device="cpu", batch_size=4, workers=0, cache=False, num_samples=length)


def batches(dataset: Dataset, batch_size: int = 3, **options: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    sampler = DistributedSampler(dataset, seed=5, **options)
    sampler.set_epoch(2)
    yield from DataLoader(dataset, batch_size, sampler=sampler)


def figures(ours: gm.Evaluator) -> dict:
    """What the report says, or the error."""
    try:
        report = ours.compute()
    except GenmetricsError as error:
        return {"error": type(error).__name__, "text": str(error)}
    values = {name: result.value for name, result in report.metrics.items()}
    return {**values, "count": report.gen.num_samples, "digest": report.gen.digest, "notes": list(report.gen.notes)}


def trained(length: int, shuffle: bool) -> dict:
    """Two epochs of training with a report after each."""
    dataset, ours = Numbered(length), evaluator(length)
    model = DistributedDataParallel(torch.nn.Conv2d(3, 3, 1))
    found = []
    for _ in range(2):
        ours.reset()
        for images, indices in batches(dataset, shuffle=shuffle):
            model(images.float() / 255).mean().backward()
            with torch.inference_mode():
                ours.update(images, indices)
        found.append(figures(ours))
    assert found[0] == found[1]
    return found[0]


def fed(length: int | None, share: Callable[[Dataset], Iterator[tuple[torch.Tensor, torch.Tensor]]]) -> dict:
    """Seven images as a sampler shares them out."""
    ours = evaluator(length)
    for images, indices in share(Numbered(7)):
        ours.update(images, indices)
    return figures(ours)


def uneven(dataset: Numbered) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Four batches on the first rank, one on the second, none on the third."""
    for number, indices in enumerate(torch.arange(7).split(2)):
        if dist.get_rank() == (0 if number < 3 else 1):
            yield dataset.images[indices], indices


def wraps(dataset: Numbered) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Contiguous shares of three that begin anew at the end, as some samplers do."""
    indices = (torch.arange(3) + 3 * dist.get_rank()) % 7
    yield dataset.images[indices], indices


def main(folder: Path) -> None:
    """Train and write down what the evaluator says."""
    warnings.simplefilter("ignore", GenmetricsWarning)
    dist.init_process_group("gloo")
    found: dict[str, object] = {}
    with registered_blocks():
        for length in LENGTHS:
            for shuffle in (False, True):
                found[f"{length} {'shuffled' if shuffle else 'in order'}"] = trained(length, shuffle)
        found["not told"] = fed(None, lambda dataset: batches(dataset, shuffle=True))
        found["drops"] = fed(7, lambda dataset: batches(dataset, drop_last=True, shuffle=True))
        found["uneven"] = fed(None, uneven)
        found["uneven, told"] = fed(7, uneven)
        found["wraps"] = fed(None, wraps)
        found["wraps, told"] = fed(7, wraps)
    (folder / f"found-{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
