"""What the cache knows a statistic by, and getting and keeping it under that."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from genmetrics import distributed
from genmetrics.accumulators.build import CAPTIONS
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.errors import CacheWarning
from genmetrics.extractors.base import packages_of
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.sources.base import ImageSource
from genmetrics.stats.cache import StatsCache, cache_folder
from genmetrics.stats.stats import Stats
from genmetrics.types import Fingerprint, Need
from genmetrics.versions import version_of, versions

__all__ = ["Memory"]

#: Raised whenever an entry's content would be another for the same key.
_LAYOUT = 2
_PACKAGES = ("genmetrics", "torch", "numpy", "pillow")


class Memory:
    """The cached statistics of one image set under one choice of settings."""

    def __init__(
        self,
        source: ImageSource,
        networks: Networks,
        options: Options,
        selection: tuple[int, ...] | None,
        keep_logits: bool,
    ) -> None:
        """Take the source's fingerprint.

        Args:
            source: the image set.
            networks: the extractors of the run.
            options: how images are read; ``cache`` switches all of this off.
            selection: positions of the images that are used; None for all.
            keep_logits: whether logits are kept in place of sums of their splits.
        """
        self._source = source
        self._networks = networks
        if isinstance(options.cache, Path):
            folder: Path | None = options.cache.expanduser()
        else:
            folder = cache_folder() if options.cache else None
        self._cache = None if folder is None else StatsCache(folder)
        self._before = source.fingerprint() if self._cache is not None else None
        self._common = {
            "layout": _LAYOUT,
            "device": networks.device.type,
            "precision": options.precision,
            "selection": None if selection is None else hashlib.sha256(repr(selection).encode()).hexdigest(),
            "shard": [options.shard.index, options.shard.count],
            "alpha": options.alpha,
            "on_bad_image": options.on_bad_image,
            "crop": options.crop,
            "decode": options.decode,
        }
        self._versions = {name: version for name, version in versions().items() if name in _PACKAGES}
        if options.decode == "gpu":
            self._versions["torchvision"] = version_of("torchvision")
        self._keep_logits = keep_logits

    def recall(self, needs: Iterable[Need]) -> dict[Need, Stats]:
        """The entries that there are, each with the one accumulator; the same on every rank."""
        wanted = [need for need in needs if self._cacheable(need)]
        if not wanted and distributed.current_shard().count == 1:
            return {}
        found = {need: held for need in wanted if (held := self._get(need)) is not None}
        # What one rank lacks all must compute, since each has only its share of the images.
        everywhere = set.intersection(*map(set, distributed.gather(tuple(found))))
        return {need: held for need, held in found.items() if need in everywhere}

    def keep(self, stats: Stats, needs: Iterable[Need]) -> None:
        """Keep the accumulators of a pass that is over, unless the images changed while it went on."""
        wanted = [need for need in needs if self._cacheable(need)]
        # An image that could not be read today may be read tomorrow.
        first = distributed.current_shard().index == 0
        if not wanted or stats.side.skipped:
            return
        for need in wanted:
            held = stats.accumulators[need]
            if isinstance(held, FeatureBank):
                held.collect(here=first)  # all processes take part
        if not first:
            return
        if self._source.fingerprint() != self._before:
            warnings.warn(
                f"'{self._source.description}' changed while it was read; the figures may be of a mixture of both "
                "states, and are not kept in the cache",
                CacheWarning,
                stacklevel=2,
            )
            return
        assert self._cache is not None
        for need in wanted:
            alone = replace(
                stats,
                accumulators={need: stats.accumulators[need]},
                extractors={need.extractor: self._networks.record(need)},
            )
            self._cache.put(self._key(need), alone)

    def _cacheable(self, need: Need) -> bool:
        return (
            self._cache is not None
            and self._before is not None
            and self._before.digest is not None
            and self._networks.can_be_cached(need.extractor)
            and need.accumulator != CAPTIONS  # the texts are no part of the key
        )

    def _get(self, need: Need) -> Stats | None:
        assert self._cache is not None
        held = self._cache.get(self._key(need))
        if held is None or need not in held.accumulators:
            return None
        # The entry may have been made of the same files in another place.
        return held.with_side(replace(held.side, source=self._source.description))

    def _key(self, need: Need) -> Mapping[str, Any]:
        assert isinstance(self._before, Fingerprint)
        kept_logits = self._keep_logits and need.accumulator == "softmax_sums"
        backend = self._networks.backend(need.extractor)
        packages = {name: version_of(name) for name in (*packages_of(need.extractor), backend)}
        return {
            **self._common,
            "versions": {**self._versions, **packages},
            "backend": backend,
            "keep_logits": kept_logits,
            "source": [self._before.kind, self._before.digest],
            "need": asdict(need),
            "weights_sha256": self._networks.weights(need.extractor).sha256,
            "preprocess": get_preprocess(need.preprocess).as_dict(),
        }
