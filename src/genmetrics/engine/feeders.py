"""From what metrics need of images to what images are fed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from types import MappingProxyType

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import PAIRS, PATHS
from genmetrics.engine.features import FeatureFeeder
from genmetrics.engine.feeder import Feeder
from genmetrics.engine.networks import Networks
from genmetrics.engine.pairs import PairFeeder
from genmetrics.types import Need

__all__ = ["make_feeders"]


def make_feeders(
    needs: Iterable[Need],
    networks: Networks,
    batch_size: int,
    total: int | None,
    captions: MutableMapping[int, str] | None = None,
    held: Mapping[Need, Accumulator] = MappingProxyType({}),
) -> list[Feeder]:
    """Feeders for all that is needed of images; steps of a generator are none of it.

    Args:
        needs: what is to be filled.
        networks: the extractors that the needs name.
        batch_size: images that go through a network at once.
        total: how many images will come in all shards together; None if that is not known.
        captions: what each image is said to show, by its index; it may grow until an image is fed, and what is of
            an image that is through all networks is removed.
        held: accumulators that some images have gone into already, and that go on being filled; the others are new.
    """
    needs = tuple(needs)
    of_pairs = [need for need in needs if need.accumulator == PAIRS]
    of_features = [need for need in needs if need.accumulator not in (PAIRS, PATHS)]
    feeders: list[Feeder] = []
    if of_features:
        feeders.append(FeatureFeeder(of_features, networks, batch_size, total, captions, held))
    if of_pairs:
        feeders.append(PairFeeder(of_pairs, networks))
    return feeders
