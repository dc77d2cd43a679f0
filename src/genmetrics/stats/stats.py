"""The statistics of one image set: what metrics are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genmetrics.accumulators.base import Accumulator
from genmetrics.errors import StatisticsError
from genmetrics.types import ExtractorRecord, Need, SideRecord

__all__ = ["Stats"]


@dataclass(frozen=True, eq=False)
class Stats:
    """All accumulators of one image set. A reference is simply the Stats of a real set.

    Attributes:
        accumulators: the statistics, by the need that each meets.
        side: which images they are of.
        extractors: which networks the features came from, by id.
        seed: the seed of every random choice that went into them.
    """

    accumulators: Mapping[Need, Accumulator]
    side: SideRecord
    extractors: Mapping[str, ExtractorRecord]
    seed: int

    @property
    def num_samples(self) -> int:
        """How many images the statistics are of."""
        return self.side.num_samples

    def get(self, need: Need) -> Accumulator:
        """The accumulator that meets a need.

        Raises:
            StatisticsError: if these statistics have none; the message says what they do have.
        """
        try:
            return self.accumulators[need]
        except KeyError:
            held = ", ".join(sorted({_describe(key) for key in self.accumulators})) or "nothing"
            raise StatisticsError(
                f"the statistics of '{self.side.source}' hold no {_describe(need)}; they hold: {held}. Make them "
                "again for all metrics that you will ask for: compute_stats(source, metrics=[...])"
            ) from None


def _describe(need: Need) -> str:
    options = ", ".join(f"{name}={value}" for name, value in need.options)
    kind = need.accumulator.replace("_", " ") + (f" ({options})" if options else "")
    return f"{kind} of {need.extractor}/{need.feature}/{need.preprocess}"
