"""One of several processes that measure together; ``test_two_processes.py`` starts it.

Usage: ``python two_processes_worker.py RANK WORLD_SIZE FOLDER``. It writes what it found to FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.content import ContentDigest
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.engine.evaluate import evaluate
from genmetrics.engine.evaluator import Evaluator
from genmetrics.report.report import Report
from genmetrics.sources.generator import GeneratorSource
from genmetrics.types import Progress

sys.path.append(str(Path(__file__).parents[1]))
from support.pair_nets import registered_pair_networks

LITE = "efficientnet-lite0.in1k"
NUM_SAMPLES, WIDTH = 40, 6
METRICS = ["fid", "kid", "isc"]

#: Which samples the second of two processes has; the first has the others.
SPLITS = {"uneven": range(3, 17), "interleaved": range(1, NUM_SAMPLES, 2), "none": range(0)}


def features() -> torch.Tensor:
    """(40, 6) float64 with an offset."""
    return torch.from_numpy(np.random.RandomState(0).standard_normal((NUM_SAMPLES, WIDTH)) + 3)


def images(count: int, seed: int) -> torch.Tensor:
    """Seeded images of two colours each, (count, 3, 32, 32) uint8."""
    rng = np.random.RandomState(seed)
    colours = rng.randint(0, 256, (count, 3, 2, 1))
    stripes = np.repeat(np.repeat(colours, 16, axis=2), 32, axis=3) + rng.randint(-9, 10, (count, 3, 32, 32))
    return torch.from_numpy(np.clip(stripes, 0, 255).astype(np.uint8))


def accumulators() -> dict[str, Accumulator]:
    """An empty one of each kind and phase."""
    return {
        "moments, folded": Moments(WIDTH),
        "moments, rows": Moments(WIDTH),
        "feature_bank": FeatureBank(WIDTH),
        "softmax_sums, total known": SoftmaxSums(WIDTH, 5, 2020, NUM_SAMPLES),
        "softmax_sums, total unknown": SoftmaxSums(WIDTH, 5, 2020, None),
        "content": ContentDigest(),
        "image keys": ImageKeys(),
    }


def own_samples(name: str, split: str, rank: int, world_size: int) -> torch.Tensor:
    """The indices that this process feeds."""
    everything = range(WIDTH if name == "moments, rows" else NUM_SAMPLES)
    theirs = [index for index in everything if index in SPLITS[split]]
    if world_size == 1:
        own = list(everything)
    else:
        own = theirs if rank == 1 else [index for index in everything if index not in theirs]
    return torch.tensor(own, dtype=torch.int64)


def merged_states(rank: int, world_size: int) -> dict[str, torch.Tensor]:
    """The merged state of every accumulator for every split."""
    states = {}
    pictures = images(NUM_SAMPLES, 5)
    for split in SPLITS:
        for name, accumulator in accumulators().items():
            own = own_samples(name, split, rank, world_size)
            beside = {"content": pictures, "image keys": torch.arange(NUM_SAMPLES) * -(2**57) + 5}
            values = beside.get(name, features())
            for part in own.split(7):
                accumulator.update(values[part], part)
            merged = distributed.merge_over_ranks(accumulator)
            assert len(own) == accumulator.num_samples, "merging leaves a rank's own part alone"
            for field, tensor in merged.state().items():
                states[f"{split}/{name}/{field}"] = tensor
    return states


def plain(report: Report) -> dict:
    """The report as values, without the times."""
    values = report.to_dict()
    del values["seconds"]
    return values


def fed_evaluator(rank: int, world_size: int, give_indices: bool) -> dict:
    """Five batches on the first process and two on the second; one process feeds all seven."""
    evaluator = Evaluator(images(12, 1), METRICS, extractor=LITE, device="cpu", batch_size=1, workers=0)
    gen = images(14, 2)
    batches = list(enumerate(gen.split(2)))
    if world_size == 2:
        batches = batches[:5] if rank == 0 else batches[5:]
    for number, batch in batches:
        evaluator.update(batch, torch.arange(2 * number, 2 * number + 2) if give_indices else None)
    return plain(evaluator.compute())


def advised(folder: Path) -> dict:
    """A folder of mixed files, one of which cannot be read, with copies in both processes' halves."""
    names = {}
    for number, image in enumerate([*images(6, 2), *images(6, 2)[:3], *images(2, 9)]):
        ending = "jpg" if number in (1, 10) else "png"
        names[number] = folder / f"{number:02d}.{ending}"
        Image.fromarray(image.permute(1, 2, 0).numpy()).crop((0, 0, 32, 20 + number)).save(names[number])
    for one, other in ((0, 8), (2, 9), (4, 5)):
        names[other].write_bytes(names[one].read_bytes())
    names[3].write_bytes(b"no image")
    options = {"extractor": LITE, "device": "cpu", "batch_size": 1, "workers": 0}
    said: list[Progress] = []
    report = evaluate(folder, images(12, 1), ["fid"], on_bad_image="skip", progress=said.append, **options)
    return {**plain(report), "said": [record.message for record in said if record.stage == "advice"]}


def with_cache(folder: Path) -> list[dict]:
    """Twice the same with a cache in that folder, and then with a metric more."""
    os.environ["GENMETRICS_CACHE"] = str(folder)
    try:
        return [
            plain(evaluate(images(7, 2), images(6, 1), metrics, extractor=LITE, device="cpu", batch_size=1, workers=0))
            for metrics in (["fid"], ["fid"], ["fid", "kid"])
        ]
    finally:
        os.environ["GENMETRICS_CACHE"] = "off"


def drawn() -> list[dict]:
    """Pairs of images, captions, and steps of a generator."""
    with registered_pair_networks():
        # Three are longer than the network reads, two of them in the first process's half.
        captions = [f"caption {number}" + " x" * (60 if number in (2, 5, 12) else 0) for number in range(14)]
        options = {"device": "cpu", "batch_size": 3, "workers": 0}
        of_images = evaluate(images(14, 2), None, ["gaps_lpips", "reader_clip_score"], captions=captions, **options)
        generator = GeneratorSource(_paint, z_size=5, num_samples=11, value_range=(0, 1), batch_size=4)
        return [plain(of_images), plain(evaluate(generator, None, ["gaps_ppl"], **options))]


def _paint(z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(z[:, :3, None, None] * z[:, 3:4, None, None]).expand(-1, 3, 8, 8)


def _own(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main(rank: int, world_size: int, folder: Path) -> None:
    """Run everything and write it down."""
    if world_size > 1:
        meeting = f"file://{folder / 'meeting'}"
        timeout = timedelta(seconds=90)
        dist.init_process_group("gloo", meeting, timeout, world_size, rank)
    shard = distributed.current_shard()
    found = {
        "shard": [shard.index, shard.count],
        "gathered": distributed.gather({"rank": rank}),
        "evaluator": fed_evaluator(rank, world_size, give_indices=True),
        "evaluator, counted": fed_evaluator(rank, world_size, give_indices=False),
        "evaluate": plain(
            evaluate(images(14, 2), images(12, 1), METRICS, extractor=LITE, device="cpu", batch_size=1, workers=0)
        ),
        # The other rank, whose folder stays empty, must not be left waiting for one that found everything in its own.
        "advised": advised(_own(folder / f"images-{rank}-of-{world_size}")),
        "cached, a folder each": with_cache(folder / f"cache-{rank}-of-{world_size}"),
        "drawn": drawn(),
        "cached, one folder": with_cache(folder / f"cache-of-{world_size}"),
    }
    torch.save(merged_states(rank, world_size), folder / f"states-{rank}-of-{world_size}.pt")
    (folder / f"found-{rank}-of-{world_size}.json").write_text(json.dumps(found))
    if world_size > 1:
        distributed.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
