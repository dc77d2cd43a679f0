"""What a report says of the networks behind a number."""

from __future__ import annotations

import numpy as np
import torch

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet_ratio import FrechetRatio
from genmetrics.types import ExtractorRecord, SideRecord

NEEDS = FrechetRatio(METRICS.get("fdr"), 2020).needs


def stats(seed: int, unofficial: str) -> gm.Stats:
    banks = {}
    for need in NEEDS:
        banks[need] = FeatureBank(6)
        banks[need].update(torch.from_numpy(np.random.default_rng(seed).standard_normal((30, 6))), torch.arange(30))
    records = {
        need.extractor: ExtractorRecord(f"{number}" * 64, official=need.extractor != unofficial, precision="exact")
        for number, need in enumerate(NEEDS)
    }
    return gm.Stats(banks, SideRecord("drawn", "array", 30, str(seed) * 64), records, 2020)


def test_of_three_networks_the_unofficial_one_is_named() -> None:
    for number, need in enumerate(NEEDS):
        report = gm.evaluate(stats(1, need.extractor), stats(2, need.extractor), ["fdr"])
        told = [text for text in report["fdr"].warnings if "are not the published ones" in text]
        assert told == [
            f"the weights of {need.extractor!r} are not the published ones (sha256 {str(number) * 12}…): the number "
            "does not compare with published ones"
        ]
