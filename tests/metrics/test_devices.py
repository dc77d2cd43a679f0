"""CMMD, Vendi and the distances along directions where a device is named: the CPU by name, and a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.build import build_accumulator
from genmetrics.metrics import METRICS
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

# To what the order of a sum on another device may change a figure; mind's projections are float32.
TOLERANCE = {"cmmd": 1e-9, "vendi": 1e-9, "rke": 1e-9, "mind": 1e-5, "mind_quantile": 1e-9, "sliced_wasserstein": 1e-9}


def computed(name: str, device: torch.device | None) -> MetricResult:
    info = METRICS.get(name)
    metric = load_target(info.target)(info, 0)
    if device is not None:
        metric.device = device
    (need,) = metric.needs
    sides = []
    for seed, count in ((1, 60), (2, 50)):
        rows = np.random.default_rng(seed).standard_normal((count, 24)) + 0.3 * seed
        held = build_accumulator(need, 24, count)
        held.update(torch.from_numpy(rows.astype(np.float32)), torch.arange(count))
        sides.append(Stats({need: held}, SideRecord("drawn", "array", count, "0" * 64), {}, 0))
    return metric.compute(sides[0], None if metric.unary else sides[1])


@pytest.mark.parametrize("name", TOLERANCE)
def test_the_cpu_by_name_is_the_default(name: str) -> None:
    assert computed(name, torch.device("cpu")) == computed(name, None)


@pytest.mark.gpu
@pytest.mark.parametrize("name", TOLERANCE)
def test_cuda_equals_the_cpu(name: str) -> None:
    expected, found = computed(name, None), computed(name, torch.device("cuda"))
    assert found.value == pytest.approx(expected.value, rel=TOLERANCE[name], abs=1e-9)
