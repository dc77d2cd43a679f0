"""From a need to the empty accumulator that meets it."""

from __future__ import annotations

import pytest

from genmetrics.accumulators.build import ACCUMULATORS, BLOCKS, build_accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import UnknownNameError
from genmetrics.types import Need

OPTIONS = {"softmax_sums": (("num_splits", 4), ("seed", 17)), BLOCKS: (("blocks", 10),)}


def need(kind: str) -> Need:
    return Need("net.tag", "squash-8", "pool", kind, OPTIONS.get(kind, ()))


@pytest.mark.parametrize("kind", ACCUMULATORS)
def test_every_registered_kind_is_built_empty(kind: str) -> None:
    built = build_accumulator(need(kind), width=5, total=9)
    assert type(built) is ACCUMULATORS[kind]
    assert built.num_samples == 0


def test_width_and_options_arrive() -> None:
    moments = build_accumulator(need("moments"), 5, 9)
    bank = build_accumulator(need("feature_bank"), 6, None)
    sums = build_accumulator(need("softmax_sums"), 7, 9)
    assert isinstance(moments, Moments) and moments.width == 5
    assert isinstance(bank, FeatureBank) and bank.width == 6
    assert isinstance(sums, SoftmaxSums)
    assert (sums.width, sums.num_splits, sums.seed, sums.total) == (7, 4, 17, 9)


def test_each_call_makes_a_new_one() -> None:
    first, second = (build_accumulator(need("feature_bank"), 6, None) for _ in range(2))
    assert first is not second


def test_unknown_kind() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^unknown accumulator 'moment'; did you mean 'moments' or 'block_moments'\?$"
    ):
        build_accumulator(need("moment"), 5, None)
