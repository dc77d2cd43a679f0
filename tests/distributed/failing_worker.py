"""One of three processes of which one fails in many ways, and is killed at last; ``test_failures.py`` starts it.

Usage: ``python failing_worker.py FOLDER``, with the environment of a rank. It writes what it saw to FOLDER.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

import genmetrics as gm
from genmetrics import distributed
from genmetrics.errors import BadImageError, GenmetricsError, GenmetricsWarning, SourceError
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource
from genmetrics.types import Fingerprint, Shard

sys.path.append(str(Path(__file__).parents[1]))
from support.blocks import NET, Blocks, registered_blocks

FD = f"fd.{NET}"
#: Less than what the slow rank takes.
GROUP_TIMEOUT = timedelta(seconds=2)
SLOW_SECONDS = 3.5
COUNT = 60


def images(count: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Source(ImageSource):
    """Sixty images, one by one, with something that happens before each."""

    kind = "source"

    def __init__(self, before: Callable[[int], None], count: int = COUNT) -> None:
        self.description = "a source"
        self._before = before
        self._count = count
        self.num_read = 0

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.kind, self.description, None)

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        for index in shard.range(self._count):
            self._before(index)
            self.num_read += 1
            yield ImageBatch(images(1, index), torch.tensor([index]))


def raises(error: BaseException, on: int) -> Callable[[int], None]:
    """On one rank an error in the middle of its share; the others would take ten seconds for theirs."""

    def before(index: int) -> None:
        if dist.get_rank() == on and index % 20 == 5:
            raise error
        if dist.get_rank() != on:
            time.sleep(0.5)

    return before


def measure(source: ImageSource | str | Path, **options: object) -> float:
    settings = {"device": "cpu", "batch_size": 8, "workers": 0, "cache": False, **options}
    return gm.evaluate(source, images(30, 1), [FD], **settings)[FD].value


def divides(on: int) -> float:
    """A foreign error in the network of one rank."""
    forward = Blocks.forward

    def broken(self: Blocks, inputs: torch.Tensor, wanted: object) -> dict[str, torch.Tensor]:
        if dist.get_rank() == on:
            raise ZeroDivisionError("a network of straw")
        return forward(self, inputs, wanted)

    Blocks.forward = broken
    try:
        return measure(images(40, 2))
    finally:
        Blocks.forward = forward


def sleeps() -> float:
    """One rank takes longer than the process group's timeout."""
    return measure(Source(lambda index: time.sleep(SLOW_SECONDS if index == 20 else 0)))


def comes_late() -> list[str]:
    """One rank calls after the others have waited for longer than is usual; what they are warned of."""
    if dist.get_rank() == 2:
        time.sleep(SLOW_SECONDS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GenmetricsWarning)
        measure(images(40, 2))
    return [str(warning.message) for warning in caught if "ranks have called" in str(warning.message)]


def evaluator(**more: object) -> gm.Evaluator:
    return gm.Evaluator(images(30, 1), [FD], device="cpu", batch_size=2, workers=0, cache=False, **more)


def updates_badly(rank: int) -> dict:
    """An update fails on one rank while the others wait in compute; after reset() all go on."""
    ours = evaluator()
    forward = Blocks.forward

    def broken(self: Blocks, inputs: torch.Tensor, wanted: object) -> dict[str, torch.Tensor]:
        return {name: rows * float("nan") for name, rows in forward(self, inputs, wanted).items()}

    seen: dict[str, object] = {}
    if rank == 1:
        Blocks.forward = broken
        try:
            for start in (0, 4):
                ours.update(images(4, start))
        except GenmetricsError as error:
            seen["update"] = str(error)
        finally:
            Blocks.forward = forward
        if "update" not in seen:
            seen["update"] = "nothing yet"
        time.sleep(1)
    else:
        ours.update(images(4, 7))
    seen["compute"] = seen_in(ours.compute)
    ours.reset()
    ours.update(images(10, rank))
    seen["after reset"] = seen_in(lambda: ours.compute().gen.num_samples)
    return seen


def feeds_twice(rank: int) -> dict:
    """Two ranks count the same sample; one gives no indices; one forgets to reset."""
    ours = evaluator()
    ours.update(images(4, rank), torch.arange(3 * rank, 3 * rank + 4))
    seen = {"twice": seen_in(ours.compute)}
    ours.reset()
    ours.update(images(4, rank), torch.arange(4 * rank, 4 * rank + 4) if rank else None)
    seen["mixed"] = seen_in(ours.compute)
    if rank != 2:
        ours.reset()
    seen["not reset"] = seen_in(ours.compute)
    return seen


def seen_in(action: Callable[[], object]) -> dict:
    """What came of an action, and how long it took."""
    began = time.monotonic()
    seen: dict[str, object] = {}
    try:
        seen["result"] = repr(action())
    except BaseException as error:
        origin = distributed.origin_of(error)
        seen |= {
            "error": type(error).__name__,
            "text": str(error),
            "images": list(error.images) if isinstance(error, BadImageError) else None,
            "of rank": None if origin is None else origin.rank,
            "told": "".join(traceback.format_exception(error)),
        }
    seen["seconds"] = time.monotonic() - began
    return seen


def killed(rank: int, victim: int) -> dict:
    """One rank is gone in the middle of reading."""

    def before(index: int) -> None:
        if rank == victim and index % 20 == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    seen = seen_in(lambda: measure(Source(before)))
    # For ever after.
    return {"first": seen, "second": seen_in(lambda: measure(images(40, 2)))}


def join() -> None:
    """Join with that short timeout, once all are up: starting may take them longer."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(*place, count, is_master=rank == 0, timeout=timedelta(seconds=60))
    store.set(f"up {rank}", "")
    store.wait([f"up {other}" for other in range(count)])
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=GROUP_TIMEOUT)


def main(folder: Path) -> None:
    """Go through it all."""
    warnings.simplefilter("ignore", GenmetricsWarning)
    join()
    rank = dist.get_rank()
    seen: dict[str, object] = {}

    def note(name: str, action: Callable[[], object]) -> None:
        seen[name] = seen_in(action)
        (folder / f"seen-{rank}.json").write_text(json.dumps(seen))

    broken = SourceError("the disk fell out")
    bad = BadImageError("1 image cannot be read: x.png", (("x.png", "no image"),))
    with registered_blocks():
        if sys.argv[2:] == ["unplugged"]:
            note("ready", lambda: measure(images(40, 2)))
            note("unplugged", lambda: measure(Source(lambda index: time.sleep(1))))
            os._exit(0)  # there is nobody to take leave of
        if len(sys.argv) > 2:  # of two ranks the one that keeps the store
            seen["killed"] = killed(rank, 0)
            (folder / f"seen-{rank}.json").write_text(json.dumps(seen))
            return
        note("alone", lambda: measure(Source(lambda index: None)))
        note("reading", lambda: measure(Source(raises(broken, on=1))))
        note("reading, the first", lambda: measure(Source(raises(broken, on=0))))
        note("bad image", lambda: measure(Source(raises(bad, on=2))))
        note("foreign", lambda: divides(on=2))
        note("interrupt", lambda: measure(Source(raises(KeyboardInterrupt(), on=1))))
        note("opening", lambda: measure("/nowhere/at/all" if rank == 1 else images(40, 2)))
        note(
            "options",
            lambda: measure(images(40, 2), seed=3 if rank == 2 else 4, alpha="white" if rank == 2 else "drop"),
        )
        note("own options", lambda: measure(images(40, 2), batch_size=8 + rank, workers=rank % 2))
        note("other images", lambda: measure(images(40, 2 + (rank == 1))))
        note("other function", lambda: gm.compute_stats(images(9, 1), [FD]) if rank == 1 else measure(images(9, 1)))
        note("the same on all", lambda: measure(images(9, 1), num=10))
        note("slow", sleeps)
        note("late", comes_late)
        note("no images", lambda: measure(Source(lambda index: None, 2)))
        for name, action in (("update", updates_badly), ("indices", feeds_twice)):
            seen[name] = action(rank)
        with distributed.shared_run("outer") as run:
            note("inside another run", lambda: measure(images(40, 2)))
            assert run is not None
            seen["traffic"] = [run.traffic.sent, run.traffic.received]
        seen["killed"] = killed(rank, 1)
        (folder / f"seen-{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
