"""A pass that ends before its images do lets go of everything at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.engine.features import FeatureFeeder
from genmetrics.errors import StatisticsError
from genmetrics.sources.arrays import ArraySource
from support.blocks import NET, Blocks, registered_blocks


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What ends, in order: the source's generator, and each feeder's networks."""
    log: list[str] = []
    batches, close = ArraySource.batches, FeatureFeeder.close

    def watched(self, shard, spec):
        try:
            yield from batches(self, shard, spec)
        finally:
            log.append("source")

    def closed(self):
        log.append("networks")
        close(self)

    monkeypatch.setattr(ArraySource, "batches", watched)
    monkeypatch.setattr(FeatureFeeder, "close", closed)
    return log


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


def test_an_error_of_a_feeder_closes_the_source_before_it_gets_out(told, monkeypatch):
    def faulty(self, inputs: torch.Tensor, wanted):
        return {"12": torch.full((len(inputs), 12), torch.nan), "logits": torch.zeros(len(inputs), 5)}

    monkeypatch.setattr(Blocks, "forward", faulty)
    with pytest.raises(StatisticsError, match="contain NaN") as caught:
        gm.compute_stats(images(), ["fid"], extractor=NET, device="cpu", batch_size=8)
    # While the error is held, so are the frames that it came through, and with them the generator.
    assert caught.value.__traceback__ is not None
    assert told[-1] == "source"
    assert "networks" in told


def test_a_pass_to_the_end_closes_both_once(told):
    gm.compute_stats(images(), ["fid"], extractor=NET, device="cpu", batch_size=8)
    assert sorted(told) == ["networks", "source"]


def test_what_runs_when_a_pass_fails_is_waited_for():
    """And nothing of it is counted."""
    from genmetrics.engine.networks import Networks
    from genmetrics.engine.options import Options
    from genmetrics.types import Need

    networks = Networks([NET], Options(device="cpu"))
    waited: list[int] = []
    network = networks.extractor(NET)
    start = network.start

    def started(inputs, wanted):
        pending = start(inputs, wanted)

        def take():
            waited.append(len(inputs))
            return pending()

        return take

    network.start = started
    need = Need(NET, "squash-16", "12", "moments")
    feeder = FeatureFeeder([need], networks, 4, None)
    feeder.add(torch.zeros((4, 3, 16, 16), dtype=torch.uint8), torch.arange(4), None)
    assert waited == []
    feeder.close()
    assert waited == [4]
    assert feeder.accumulators[need].num_samples == 0
