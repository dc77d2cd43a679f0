"""From what a metric names as its need to the accumulator that meets it."""

from __future__ import annotations

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.feature_bank import FeatureBank, Scalars
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import UnknownNameError
from genmetrics.registry import did_you_mean
from genmetrics.types import Need

__all__ = ["ACCUMULATORS", "BLOCKS", "CAPTIONS", "NO_FEATURES", "PAIRS", "PATHS", "build_accumulator"]

#: Moments of each of a few blocks of the images, for error bars.
BLOCKS = "block_moments"
#: Figures of pairs of images drawn from a set: of images of one class each, or of any two.
PAIRS = "pair_values"
#: Figures of images and their captions.
CAPTIONS = "caption_values"
#: Figures of small steps in the input of a generator.
PATHS = "path_values"
#: What is of a set as it is, is made of no features, and cannot be put together from parts of the set.
NO_FEATURES = frozenset({PAIRS, CAPTIONS, PATHS})

ACCUMULATORS: dict[str, type[Accumulator]] = {
    "moments": Moments,
    BLOCKS: BlockMoments,
    "feature_bank": FeatureBank,
    "softmax_sums": SoftmaxSums,
    PAIRS: Scalars,
    CAPTIONS: Scalars,
    PATHS: Scalars,
}


def build_accumulator(need: Need, width: int, total: int | None) -> Accumulator:
    """An empty accumulator.

    Args:
        need: what is needed.
        width: the width of the feature.
        total: how many samples will come; None if that is not known.

    Raises:
        UnknownNameError: if there is no accumulator of that kind.
    """
    options = dict(need.options)
    if need.accumulator == "moments":
        return Moments(width, unit_norm=bool(options.get("unit_norm", 0)))
    if need.accumulator == BLOCKS:
        return BlockMoments(width, options["blocks"])
    if need.accumulator == "feature_bank":
        return FeatureBank(width)
    if need.accumulator == "softmax_sums":
        if "chunk" in options:
            return SoftmaxSums(width, 0, 0, total, chunk=options["chunk"])
        return SoftmaxSums(width, options["num_splits"], options["seed"], total)
    if need.accumulator in NO_FEATURES:
        return Scalars(2)
    hint = did_you_mean(need.accumulator, list(ACCUMULATORS))
    raise UnknownNameError(f"unknown accumulator {need.accumulator!r}; {hint}")
