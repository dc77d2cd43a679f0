"""Accumulators that are made of the features that statistics hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, SideRecord

BANK = Need("net", "as-is", "out", "feature_bank")
SUMS = replace(BANK, accumulator="softmax_sums", options=(("num_splits", 2), ("seed", 0)))
#: Of a set of which images were left out, or of one rank's.
INDICES = torch.tensor([5, 8, 13, 21, 34, 55])


def rows() -> torch.Tensor:
    return torch.randn(len(INDICES), 4, generator=torch.Generator().manual_seed(0))


def stats(held: FeatureBank) -> Stats:
    return Stats({BANK: held}, SideRecord("drawn", "array", len(INDICES), "0" * 64), {}, 0)


def test_messages_name_images_and_not_rows() -> None:
    features = rows()
    features[3] = 0
    bank = FeatureBank(4)
    bank.update(features, INDICES)
    with pytest.raises(StatisticsError, match=r"all zero \(indices 21\)"):
        stats(bank).get(replace(BANK, accumulator="moments", options=(("unit_norm", 1),)))


def test_splits_go_by_place() -> None:
    bank, sums = FeatureBank(4), SoftmaxSums(4, 2, 0, None)
    for held in (bank, sums):
        held.update(rows(), INDICES)
    derived = stats(bank).get(SUMS)
    assert isinstance(derived, SoftmaxSums)
    assert torch.equal(derived.mean_divergences(), sums.mean_divergences())
