"""Every metric in one run: each image is read once, and goes through each network once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.metrics import METRICS
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource
from genmetrics.types import Fingerprint, Shard
from support.blocks import NET, Blocks, registered_blocks
from support.pair_nets import Gaps, Reader, registered_pair_networks

#: More than the 5,000 that the metrics at infinity begin with.
COUNT, CLASSES = 5100, 4


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks(), registered_pair_networks():
        yield


class Counting(ImageSource):
    """Coloured noise with classes, and how often each image was read."""

    kind = "counting"

    def __init__(self, seed: int) -> None:
        self.description = f"counting {seed}"
        rng = np.random.default_rng(seed)
        self.labels = torch.arange(COUNT) % CLASSES
        coloured = rng.integers(0, 200, (COUNT, 3, 1, 1)) + rng.integers(0, 56, (COUNT, 3, 4, 4))
        self.images = torch.from_numpy(coloured.astype(np.uint8))
        self.read: Counter[int] = Counter()

    def __len__(self) -> int:
        return COUNT

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.kind, self.description, None)

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        for part in torch.tensor(list(shard.range(COUNT))).split(spec.batch_size):
            self.read.update(part.tolist())
            yield ImageBatch(self.images[part], part, self.labels[part])


@pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")
def test_each_image_is_read_once_and_each_network_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()
    forward = Blocks.forward

    def counted(self: Blocks, inputs: torch.Tensor, wanted: object) -> dict[str, torch.Tensor]:
        seen["blocks"] += len(inputs)
        return forward(self, inputs, wanted)

    monkeypatch.setattr(Blocks, "forward", counted)
    Reader.runs, Gaps.asked = 0, 0
    sides = Counting(0), Counting(1)
    of_blocks = [f"{info.generic}.{NET}" for info in METRICS.entries() if info.generic]
    of_pairs = ["gaps_lpips", "gaps_lpips_class", "reader_clip_score", "reader_clip_score_100"]
    captions = [f"image {index}" for index in range(COUNT)]
    report = gm.evaluate(*sides, [*of_blocks, *of_pairs], captions=captions, batch_size=128, seed=1)
    assert list(report.metrics) == [*of_blocks, *of_pairs]
    assert len(of_blocks) > 15
    for side in sides:
        assert set(side.read.values()) == {1} and len(side.read) == COUNT
    assert seen["blocks"] == 2 * COUNT
    assert Reader.runs == COUNT
    assert Gaps.asked == 1000 + CLASSES * 100
    assert all(np.isfinite(result.value) for result in report.metrics.values())


@pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")
def test_together_they_are_what_each_is_alone() -> None:
    gen, ref = Counting(0).images[:300].numpy(), Counting(1).images[:260].numpy()
    arrays = [np.ascontiguousarray(images.transpose(0, 2, 3, 1)) for images in (gen, ref)]
    names = [
        f"{info.generic}.{NET}"
        for info in METRICS.entries()
        if info.generic and not info.generic.endswith("_inf") and info.generic != "intra_fd"
    ]
    # Which error bars there is time for is not the same for one metric and for all.
    together = gm.evaluate(*arrays, names, error_bars="off")
    for name in names:
        alone = gm.evaluate(*arrays, [name], error_bars="off")[name]
        assert together[name].value == pytest.approx(alone.value, rel=1e-12), name
        assert together[name].extra == pytest.approx(alone.extra, rel=1e-12), name
