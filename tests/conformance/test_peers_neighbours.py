"""Precision, recall, density, coverage and MiFID against other people's code.

Peers: torch-fidelity 0.4.0, prdc 0.2, torchmetrics 1.9.0, piq 0.8.0. Tolerances: precision, recall, density and
coverage equal in every count (1e-12; torch-fidelity's means are float32, 1e-7), MiFID 1e-9 relative. torch-fidelity
and prdc make distances of products of float32 features, whose errors move counts near a surface, so they are fed
float64. Reached with torch 2.13.0, scikit-learn 1.9.1: see docs/fidelity.md.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from support.features import all_distances, evaluate, own_distances, sample
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.metric_prc")
prdc = import_peer("prdc")
mifid = import_peer("torchmetrics.image.mifid")
piq = import_peer("piq")

SIDES = {
    "alike": (300, 300, 64, 0.0, 1.0),
    "shifted": (300, 300, 64, 0.15, 1.0),
    "narrow": (300, 250, 64, 0.0, 0.9),
    "wide": (300, 400, 16, 0.0, 1.3),
    "pool3": (120, 120, 2048, 0.02, 1.0),
}


def both(case: str) -> tuple[Tensor, Tensor]:
    num_gen, num_ref, width, shift, scale = SIDES[case]
    return sample(0, num_gen, width, 3 + shift, scale), sample(1, num_ref, width, 3.0)


def of_torch_fidelity(gen: Tensor, ref: Tensor, k: int = 3, parts: bool = False) -> dict[str, float]:
    return fidelity.prc_features_to_metric(
        gen.double(), ref.double(), prc_neighborhood=k, save_cpu_ram=parts, prc_batch_size=97, verbose=False
    )


def of_prdc(gen: Tensor, ref: Tensor, k: int = 5) -> dict[str, float]:
    return prdc.compute_prdc(ref.numpy().astype(np.float64), gen.numpy().astype(np.float64), k)


def largest_difference(ours: dict[str, float], theirs: dict[str, float]) -> float:
    difference = max(abs(ours[name] - theirs[name]) for name in theirs)
    print(f"ours {ours}, theirs {theirs}: {difference:.1e}")
    return difference


@pytest.mark.parametrize("case", SIDES)
class TestTorchFidelity:
    @pytest.mark.parametrize("parts", [False, True], ids=["full", "parts"])
    def test_precision_and_recall(self, case, parts):
        gen, ref = both(case)
        assert largest_difference(evaluate("prc", gen, ref).extra, of_torch_fidelity(gen, ref, 3, parts)) <= 1e-7

    def test_another_k_is_told_apart(self, case):
        gen, ref = both(case)
        assert largest_difference(evaluate("prc", gen, ref).extra, of_torch_fidelity(gen, ref, 2)) > 1e-3


@pytest.mark.parametrize("case", ["shifted", "narrow", "wide", "pool3"])
def test_swapped_sides_are_told_apart(case):
    gen, ref = both(case)
    assert largest_difference(evaluate("prc", gen, ref).extra, of_torch_fidelity(ref, gen)) > 1e-3


@pytest.mark.parametrize("case", SIDES)
class TestPrdc:
    def test_all_four(self, case):
        gen, ref = both(case)
        theirs = of_prdc(gen, ref)
        assert largest_difference(evaluate("prdc", gen, ref).extra, theirs) <= 1e-12
        assert evaluate("prdc", gen, ref).value == pytest.approx(theirs["density"], abs=1e-12)
        of_dinov2 = evaluate("prc_dinov2", gen, ref).extra
        assert largest_difference(of_dinov2, {name: theirs[name] for name in ("precision", "recall")}) <= 1e-12

    @pytest.mark.parametrize("k", [4, 6])
    def test_another_k_is_told_apart(self, case, k):
        gen, ref = both(case)
        assert largest_difference(evaluate("prdc", gen, ref).extra, of_prdc(gen, ref, k)) > 1e-3


@pytest.mark.parametrize("case", ["narrow", "wide"])
def test_swapped_sides_are_told_apart_of_prdc(case):
    gen, ref = both(case)
    assert largest_difference(evaluate("prdc", gen, ref).extra, of_prdc(ref, gen)) > 1e-3


def of_torchmetrics(gen: Tensor, ref: Tensor, *, over_ref: bool) -> float:
    """Its functions: the class calls them with the reference first, which averages over the reference."""
    first, second = (ref.double(), gen.double()) if over_ref else (gen.double(), ref.double())
    moments = [(side.mean(dim=0), torch.cov(side.T), side) for side in (first, second)]
    return float(mifid._mifid_compute(*moments[0], *moments[1]))


MIFID = {"mifid": False, "mifid_torchmetrics": True}
NEAR = {"far": 1.0, "near": 0.02}


@pytest.mark.parametrize("near", NEAR)
@pytest.mark.parametrize("name", MIFID)
def test_mifid(name: str, near: str) -> None:
    """Far from the training set, where the divisor is 1, and near to it."""
    ref = sample(1, 300, 24)
    gen = torch.cat((ref[:150] + NEAR[near] * sample(2, 150, 24), ref[:50] + NEAR[near] * sample(3, 50, 24)))
    if near == "near" and MIFID[name]:
        gen = ref + NEAR[near] * sample(2, 300, 24, 1.0)
    found = evaluate(name, gen, ref)
    theirs = of_torchmetrics(gen, ref, over_ref=MIFID[name])
    print(name, near, found.value, theirs, abs(found.value / theirs - 1))
    assert (found.extra["divisor"] == 1.0) is (near == "far")
    assert found.value == pytest.approx(theirs, rel=1e-9)


def test_mifid_leaves_rows_of_zeros_out() -> None:
    gen, ref = sample(0, 80, 12).clamp(min=0), sample(1, 90, 12).clamp(min=0)
    gen[3], ref[5] = 0, 0
    for name, over_ref in MIFID.items():
        assert evaluate(name, gen, ref).value == pytest.approx(of_torchmetrics(gen, ref, over_ref=over_ref), rel=1e-9)


def test_mifids_directions_are_told_apart() -> None:
    ref = sample(1, 300, 24)
    gen = ref[:30].repeat(10, 1) + 0.02 * sample(2, 300, 24)
    values = [evaluate(name, gen, ref).value for name in MIFID]
    theirs = [of_torchmetrics(gen, ref, over_ref=over_ref) for over_ref in MIFID.values()]
    assert values == pytest.approx(theirs, rel=1e-9)
    assert values[0] > 10 * values[1]


def test_piqs_recall_of_ties_takes_the_wrong_radii() -> None:
    """On whole numbers piq 0.8.0 is told apart from both conventions, and ours from piq."""
    gen, ref = sample(0, 80, 2).mul(2).round(), sample(1, 80, 2, 1.0).mul(2).round()
    precision, recall = piq.PR(nearest_k=3)(ref, gen)
    distances, of_gen = all_distances(gen, ref), own_distances(gen)[:, 2]
    assert float(precision) == pytest.approx(evaluate("prc", gen, ref).value, abs=1e-7)
    assert abs(float(recall) - (distances <= of_gen[:, None]).any(axis=0).mean()) > 1e-3
    assert evaluate("prc", gen, ref).extra["recall"] == (distances <= of_gen[:, None]).any(axis=0).mean()
