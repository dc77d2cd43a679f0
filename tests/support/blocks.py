"""An extractor that takes no time."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.weights import WeightsFile, file_sha256
from genmetrics.preprocess.spec import PREPROCESS, Preprocess
from genmetrics.types import ExtractorInfo

__all__ = ["NET", "Blocks", "registered_blocks"]

NET = "blocks.v1"


class Blocks(Extractor):
    """The mean colours of the four quarters, and differences between them for class logits.

    Its weight file is a text with one number, by which everything is multiplied.
    """

    #: How often a network was built.
    built = 0

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        Blocks.built += 1
        self.info = EXTRACTORS.get(NET)
        self.weights = self.locate(weights)
        self.scale = 1.0 if weights is None else float(weights.read_text())
        self.network = torch.nn.Identity()

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        if weights is None:
            return WeightsFile(Path("none"), "0" * 64, official=True)
        return WeightsFile(weights, file_sha256(weights), official=False)

    def forward(self, inputs: torch.Tensor, wanted: Collection[str]) -> dict[str, torch.Tensor]:
        colours = self.scale * F.adaptive_avg_pool2d(inputs, 2).flatten(1)
        return {"12": colours, "logits": 8 * (colours[:, :5] - colours[:, 5:10])}


@contextmanager
def registered_blocks() -> Iterator[None]:
    """The extractor in the registries for as long as this lasts."""
    home = ModuleType("genmetrics_blocks")
    home.Blocks = Blocks
    features = {"12": 12, "logits": 5}
    info = ExtractorInfo(NET, "genmetrics_blocks:Blocks", "colours", features, "squash-16", "12", "logits")
    squash = Preprocess("squash-16", "torch-bilinear", (16, 16), (0.5,) * 3, (0.25,) * 3, divisor=255.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, home.__name__, home)
        patch.setitem(PREPROCESS, squash.id, squash)
        patch.setitem(EXTRACTORS._entries, NET, info)
        yield
