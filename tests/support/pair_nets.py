"""Networks that take no time: one that compares two images, one that reads texts."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.captions import CaptionExtractor
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.extractors.weights import WeightsFile
from genmetrics.metrics import METRICS
from genmetrics.types import ExtractorInfo

__all__ = ["GAPS", "READER", "embed_image", "embed_text", "gap", "registered_pair_networks"]

GAPS, READER = "gaps.v1", "reader.v1"


def gap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The mean square difference of each pair, (n,)."""
    return (first - second).square().flatten(1).mean(dim=1)


def embed_image(inputs: torch.Tensor) -> torch.Tensor:
    """Colours of quarters, (n, 12)."""
    return F.adaptive_avg_pool2d(inputs, 2).flatten(1)


def embed_text(text: str) -> torch.Tensor:
    """Twelve numbers of a text, (12,)."""
    return torch.tensor([float(sum(text.encode()[k::12]) % 17) - 6 for k in range(12)])


class _Weightless:
    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        return WeightsFile(Path("none"), "0" * 64, official=True)


class Gaps(_Weightless, PairExtractor):
    """The mean square difference, and how many pairs it was asked for."""

    asked = 0

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info, self.weights = EXTRACTORS.get(GAPS), self.locate(weights)
        self.network = torch.nn.Identity()

    def compare(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        Gaps.asked += len(first)
        return gap(first, second)


class Reader(_Weightless, Extractor, CaptionExtractor):
    """Colours of an image, bytes of a text."""

    runs = 0

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info, self.weights = EXTRACTORS.get(READER), self.locate(weights)
        self.network = torch.nn.Identity()

    def forward(self, inputs: torch.Tensor, wanted: Collection[str]) -> dict[str, torch.Tensor]:
        Reader.runs += len(inputs)
        return {"embedding": embed_image(inputs)}

    def caption_embeddings(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.stack([embed_text(text) for text in texts])

    def truncated(self, texts: Sequence[str]) -> list[int]:
        return [position for position, text in enumerate(texts) if len(text) > 100]


@contextmanager
def registered_pair_networks() -> Iterator[None]:
    """Both networks in the registry, and the metrics of pairs, paths and captions on them, for as long as this lasts.

    The metrics' ids are those of the published ones with ``gaps_`` or ``reader_`` before them.
    """
    home = ModuleType("genmetrics_pair_nets")
    home.Gaps, home.Reader = Gaps, Reader
    infos = (
        ExtractorInfo(GAPS, f"{home.__name__}:Gaps", "differences", {"distance": 1}, "native-sym", "distance"),
        ExtractorInfo(READER, f"{home.__name__}:Reader", "colours", {"embedding": 12}, "native-sym", "embedding"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, home.__name__, home)
        for info in infos:
            patch.setitem(EXTRACTORS._entries, info.id, info)
        for name in ("lpips", "lpips_class", "ppl", "ppl_torch_fidelity"):
            metric = METRICS.get(name)
            metric = replace(metric, id=f"gaps_{name}", extractor=GAPS, feature="distance", preprocess="native-sym")
            patch.setitem(METRICS._entries, metric.id, metric)
        for name in ("clip_score", "clip_score_100"):
            metric = METRICS.get(name)
            metric = replace(metric, id=f"reader_{name}", extractor=READER, preprocess="native-sym")
            patch.setitem(METRICS._entries, metric.id, metric)
        yield
