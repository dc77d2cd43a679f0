"""The statistics of one image set: what metrics are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import NO_FEATURES, build_accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError
from genmetrics.types import UNKNOWN, ExtractorRecord, Need, SideRecord, same_features
from genmetrics.versions import versions

__all__ = ["Stats", "describe_need"]

_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Stats:
    """All accumulators of one image set. A reference is simply the Stats of a real set.

    Attributes:
        accumulators: the statistics, by the need that each meets. Needs whose extractor, preprocessing and
            feature are ``UNKNOWN`` are of a file that does not say what its statistics are of.
        side: which images they are of.
        extractors: which networks the features came from, by id.
        seed: the seed of every random choice that went into them; None if a file does not say.
        labels: the classes of the images; None if not every image has one.
        class_names: the names of the classes 0, 1, … where they have any.
        versions: of what made the statistics.
        keys: what tells the images from one another; None if a file does not have it, or there are too many.
    """

    accumulators: Mapping[Need, Accumulator]
    side: SideRecord
    extractors: Mapping[str, ExtractorRecord]
    seed: int | None
    labels: Labels | None = None
    class_names: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=versions)
    keys: ImageKeys | None = None
    _derived: dict[Need, Accumulator] = field(default_factory=dict, init=False, repr=False)

    @property
    def num_samples(self) -> int | None:
        """How many images the statistics are of; None if a file of another tool does not say."""
        return self.side.num_samples

    @classmethod
    def load(cls, path: str | Path) -> Stats:
        """Read a statistics file: our own, or one of another tool in any known format.

        No code in a file is ever run. What a format does not say is marked as unknown.

        Raises:
            SourceError: if there is no such file.
            StatisticsError: if it is damaged, altered, or no statistics file that is known.
        """
        from genmetrics.stats.formats import load_stats

        return load_stats(path)

    def save(self, path: str | Path) -> None:
        """Write everything to a ``.safetensors`` file, which appears only when it is whole.

        Raises:
            UsageError: if the name ends in anything but ``.safetensors``.
            OutputError: if it cannot be written; a file that stood there stays as it was.
        """
        from genmetrics.stats.io import save_stats

        save_stats(self, Path(path))

    def merge(self, *others: Stats) -> Stats:
        """The statistics of all the sets together, the same in whatever order they are given.

        Shards of one source become that source again. Sources are ordered by their descriptions, so that
        random draws by position are the same whatever the order.

        Raises:
            StatisticsError: if they overlap, or are of unlike networks, preprocessings or settings.
        """
        from genmetrics.stats.merge import merge_stats

        return merge_stats([self, *others])

    def get(self, need: Need) -> Accumulator:
        """The accumulator that meets a need, as it is held or made from features that are.

        Raises:
            StatisticsError: if these statistics have none; the message says what they do have.
        """
        held = self.accumulators.get(need) or self._derived.get(need) or self._derive(need)
        if held is None:
            raise StatisticsError(
                f"the statistics of '{self.name}' hold no {describe_need(need)}; they hold: {self.holdings()}. Make "
                "them again for all metrics that you will ask for: compute_stats(source, metrics=[...])"
            )
        return held

    def meets(self, need: Need) -> bool:
        """Whether ``get`` would find an accumulator."""
        return need in self.accumulators or self._features_for(need) is not None

    def with_side(self, side: SideRecord) -> Stats:
        """The same statistics under another record of their set."""
        return replace(self, side=side)

    @property
    def name(self) -> str:
        """What a person finds the set by: its file, or its source."""
        return self.side.stats_file or self.side.source

    def holdings(self) -> str:
        """What the statistics are, for messages."""
        return ", ".join(sorted({describe_need(need) for need in self.accumulators})) or "nothing"

    def _features_for(self, need: Need) -> FeatureBank | None:
        """Kept features from which the accumulator of a need can be made."""
        if need.accumulator in NO_FEATURES:
            return None
        kinds = ("feature_bank", "softmax_sums") if need.accumulator == "softmax_sums" else ("feature_bank",)
        for key, held in self.accumulators.items():
            if key.accumulator in kinds and same_features(key, need):
                features = held.kept() if isinstance(held, SoftmaxSums) else held
                if isinstance(features, FeatureBank):
                    return features
        return None

    def _derive(self, need: Need) -> Accumulator | None:
        features = self._features_for(need)
        if features is None:
            return None
        rows = features.rows()
        # Splits go by an image's place among those that arrived; all else goes by its index, which messages then name.
        indices = torch.arange(len(rows)) if need.accumulator == "softmax_sums" else features.indices()
        made = build_accumulator(need, features.width, total=len(rows))
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            made.update(rows[part], indices[part])
        self._derived[need] = made
        return made


def describe_need(need: Need) -> str:
    """A need in words: ``moments of inception-v3.tf2015/2048/tf1-bilinear-299``."""
    options = ", ".join(f"{name}={value}" for name, value in need.options)
    kind = need.accumulator.replace("_", " ") + (f" ({options})" if options else "")
    if need.extractor == UNKNOWN:
        return f"{kind} of a network that the file does not name"
    return f"{kind} of {need.extractor}/{need.feature}/{need.preprocess}"
