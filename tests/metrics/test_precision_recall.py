"""Precision, recall, density and coverage: by hand, by their sides and their surfaces, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, neighbours
from genmetrics.metrics.neighbours import NeighbourMetric
from support.features import all_distances, build, evaluate, own_distances, sample, stats_of

ALL = [info.id for info in METRICS.entries() if issubclass(type(build(info.id)), NeighbourMetric)]


def line(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_there_are_metrics() -> None:
    assert len(ALL) == 11


def test_four_points_by_hand() -> None:
    """Reference 0, 1, 2, 10: the third neighbours are at 10, 9, 8, 10. Generated -10, 20, 30, 21: at 40, 30, 40, 31."""
    ref, gen = line(0, 1, 2, 10), line(-10, 20, 30, 21)
    result = evaluate("prc", gen, ref)
    # -10 is on the surface of the ball about 0, 20 on that about 10; the others are in none. All reference samples
    # are within 40 of -10.
    assert result.value == result.extra["precision"] == 0.5
    assert result.extra["recall"] == 1.0
    assert result.extra["f_score"] == pytest.approx(2 * 0.5 / 1.5, rel=1e-15)


def test_surfaces_belong_to_prc_and_not_to_prdc() -> None:
    """On whole numbers most radii are distances of other pairs too."""
    gen, ref = sample(0, 60, 2).mul(2).round(), sample(1, 60, 2).mul(2).round()
    distances, radii = all_distances(gen, ref), own_distances(ref)
    strict = (distances < radii[:, 4]).any(axis=1).mean()
    inclusive = (distances <= radii[:, 4]).any(axis=1).mean()
    assert strict != inclusive
    assert evaluate("prdc", gen, ref).extra["precision"] == strict
    assert evaluate("prc_dinov2", gen, ref).value == strict
    assert evaluate("prc", gen, ref).value == (distances <= radii[:, 2]).any(axis=1).mean()


def test_a_set_against_itself() -> None:
    """Every ball has its own centre in it, and with strict balls the k - 1 samples nearer than the k-th."""
    rows = sample(0, 70, 8)
    assert evaluate("prc", rows, rows).extra["f_score"] == 1.0
    figures = evaluate("prdc", rows, rows)
    assert figures.value == 1.0
    expected = {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    assert {name: figures.extra[name] for name in expected} == expected


def test_precision_is_of_the_generated_samples() -> None:
    """A collapsed generator: everything that it makes is real, and it makes little of what is real.

    torch-fidelity installed from git between 2022 and February 2026 gave these two the other way round.
    """
    ref = sample(0, 200, 8)
    gen = sample(1, 200, 8, 0.0, 0.2)
    for name in ("prc", "prc_adm", "prc_dinov2"):
        result = evaluate(name, gen, ref)
        assert result.value == result.extra["precision"] > 0.95
        assert result.extra["recall"] < 0.05
    swapped = evaluate("prc", ref, gen)
    assert swapped.extra["precision"] < 0.05
    assert swapped.extra["recall"] > 0.95


def test_recall_is_told_by_the_generated_radii() -> None:
    """piq 0.8.0 takes the reference's radii where it looks for ties in recall (pr.py, line 118)."""
    gen, ref = sample(0, 80, 2).mul(2).round(), sample(1, 80, 2, 1.0).mul(2).round()
    distances, of_ref, of_gen = all_distances(gen, ref), own_distances(ref)[:, 2], own_distances(gen)[:, 2]
    recall = (distances <= of_gen[:, None]).any(axis=0).mean()
    as_piq = ((distances < of_gen[:, None]) | (distances == of_ref)).any(axis=0).mean()
    assert recall != as_piq
    assert evaluate("prc", gen, ref).extra["recall"] == recall


def test_k_counts_without_the_sample_itself() -> None:
    """k = 3 is the third other sample; fld asks for four, so as not to count the sample itself, which is one k."""
    gen, ref = sample(0, 90, 4), sample(1, 90, 4, 0.4)
    radii = own_distances(ref)
    shares = [(all_distances(gen, ref) <= radii[:, number]).any(axis=1).mean() for number in (1, 2, 3)]
    assert len(set(shares)) == 3
    assert evaluate("prc", gen, ref).value == shares[1]


@pytest.mark.parametrize("name", ["prc", "prdc", "prc_dinov2", "clipped_dc"])
def test_no_random_choice(name: str) -> None:
    """All samples count, whatever the seed; dgm-eval draws subsets of 10,000 without one."""
    gen, ref = sample(0, 90, 4), sample(1, 70, 4)
    first, again = (evaluate(name, gen, ref) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("name", ALL)
def test_metrics_share_one_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked together, metrics of the same features give what each gives alone, from one pass."""
    passes = []
    real = neighbours.answer
    monkeypatch.setattr(neighbours, "answer", lambda *given, device: passes.append(1) or real(*given, device=device))
    metric = build(name)
    mates = [mate for mate in map(build, ALL) if mate.work == metric.work]
    gen, ref = (stats_of(_with_all_needs(mates), rows) for rows in (sample(0, 60, 6), sample(1, 50, 6, 0.2)))
    together = metric.compute_together(mates, gen, ref)
    assert len(passes) == 1
    assert [result.id for result in together] == [mate.id for mate in mates]
    for mate, result in zip(mates, together, strict=True):
        assert mate.compute(gen, ref) == result
    assert len(passes) == 1 + len(mates)


def _with_all_needs(mates: list[NeighbourMetric]) -> NeighbourMetric:
    return max(mates, key=lambda mate: len(mate.needs))


def test_metrics_of_other_features_do_not_share() -> None:
    assert build("prc").work != build("prc_adm").work != build("prdc_dinov2").work
    assert build("prc").work == build("prdc").work == build("realism").work
    assert build("mifid").work == build("prc_adm").work


@pytest.mark.parametrize(
    ("name", "num_gen", "num_ref", "short"),
    [
        ("prc", 3, 50, "at least 4 images in the generated set, and there are 3"),
        ("prc", 50, 3, "at least 4 images in the reference set, and there are 3"),
        ("prdc", 50, 5, "at least 6 images in the reference set"),
        ("clipped_dc", 50, 5, "at least 6 images in the reference set"),
        ("realism", 50, 3, "at least 4 images in the reference set"),
        ("authpct", 50, 1, "at least 2 images in the reference set"),
        ("nearest", 0, 50, "at least 1 images in the generated set"),
    ],
)
def test_too_few_images(name: str, num_gen: int, num_ref: int, short: str) -> None:
    with pytest.raises(StatisticsError, match=short) as caught:
        evaluate(name, sample(0, num_gen, 4), sample(1, num_ref, 4))
    assert f"leave '{name}' out" in str(caught.value)


@pytest.mark.parametrize("name", ["prc", "prdc", "clipped_dc"])
def test_least_number_of_images(name: str) -> None:
    k = dict(METRICS.get(name).settings)["k"]
    result = evaluate(name, sample(0, k + 1, 4), sample(1, k + 1, 4))
    assert np.isfinite(result.value)


def test_sides_of_unlike_size_are_warned_of() -> None:
    ref = sample(0, 60, 4)
    for name, what in (("prc", "precision and recall depend"), ("prdc", "recall and coverage depend")):
        assert evaluate(name, sample(1, 60, 4), ref).warnings == ()
        (warning,) = evaluate(name, sample(1, 40, 4), ref).warnings
        assert warning.startswith(what) and "40 generated and 60 reference" in warning
    assert evaluate("clipped_dc", sample(1, 40, 4), ref).warnings == ()
