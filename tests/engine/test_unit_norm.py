"""CMMD of embeddings in files, and moments of unit norm beside those of the features as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.cmmd import clip_distance
from genmetrics.types import UNKNOWN, ExtractorRecord, Need, SideRecord

CMMD = METRICS.get("cmmd")
WIDTH = 768
BANK = Need(CMMD.extractor, CMMD.preprocess, CMMD.feature, "feature_bank")
PLAIN, UNIT = replace(BANK, accumulator="moments"), replace(BANK, accumulator="moments", options=(("unit_norm", 1),))


def embeddings(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """(count, 768) float32 of unit norm, as CMMD's code saves them."""
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)) + 1 + shift
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(kind, rows: np.ndarray):
    kind.update(torch.from_numpy(rows), torch.arange(len(rows)))
    return kind


def stats(*held: tuple[Need, object], count: int) -> gm.Stats:
    side = SideRecord("drawn", "array", count, "0" * 64)
    return gm.Stats(dict(held), side, {BANK.extractor: ExtractorRecord("6" * 64, True, "exact")}, 2020)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "gen.npy", tmp_path / "ref_embs_coco_30k.npy"
    np.save(paths[0], embeddings(40, 1, 0.2))
    np.save(paths[1], embeddings(60, 2))
    return paths


def test_embeddings_in_npy_files(files) -> None:
    """The files do not say what they are of; that is taken from the metric that is asked for, and told."""
    report = gm.evaluate(files[0], files[1], ["cmmd", "cmmd_fast"])
    expected = clip_distance(*(torch.from_numpy(np.load(path)) for path in files)).biased
    exact, fast = report["cmmd"], report["cmmd_fast"]
    assert exact.value == expected > 0.01
    assert -1e-10 <= exact.value - fast.value <= fast.extra["max_error"]
    for result in (exact, fast):
        assert any(
            "does not say which network, layer and preprocessing its features are of" in w for w in result.warnings
        )
    assert (report.gen.num_samples, exact.extra["num_ref"]) == (40, 60)


def test_said_for_good(files, tmp_path) -> None:
    from genmetrics.engine.describe import with_protocol

    named = with_protocol(gm.Stats.load(files[1]), "cmmd")
    assert list(named.accumulators) == [BANK]
    named.save(tmp_path / "ref.safetensors")
    report = gm.evaluate(files[0], tmp_path / "ref.safetensors", ["cmmd"])
    assert report["cmmd"].value == gm.evaluate(files[0], files[1], ["cmmd"])["cmmd"].value
    assert sum("does not say which network" in text for text in report["cmmd"].warnings) == 1


def test_saved_moments_of_unit_norm_give_every_digit(tmp_path) -> None:
    gen, ref = embeddings(40, 1, 0.2), 3 * embeddings(900, 2)
    for rows, name in ((gen, "gen"), (ref, "ref")):
        stats((UNIT, filled(Moments(WIDTH, unit_norm=True), rows)), count=len(rows)).save(
            tmp_path / f"{name}.safetensors"
        )
    saved = gm.evaluate(tmp_path / "gen.safetensors", tmp_path / "ref.safetensors", ["cmmd_fast"])["cmmd_fast"]
    banks = [stats((BANK, filled(FeatureBank(WIDTH), rows)), count=len(rows)) for rows in (gen, ref)]
    derived = gm.evaluate(banks[0], banks[1], ["cmmd_fast"])["cmmd_fast"]
    assert saved.value == pytest.approx(derived.value, rel=1e-9)


def test_moments_of_the_features_as_they_are_do_not_serve() -> None:
    """Negative control: those of longer rows would give a number, and a wrong one. Nor do they with force."""
    rows = [3 * embeddings(40, 1, 0.2), embeddings(40, 2)]
    sides = [stats((PLAIN, filled(Moments(WIDTH), side)), count=40) for side in rows]
    for force in (False, True):
        with pytest.raises(
            StatisticsError, match=r"hold no moments \(unit_norm=1\) of clip-vit-l14-336\.openai/embedding"
        ):
            gm.evaluate(sides[0], sides[1], ["cmmd_fast"], force=force)


def test_moments_of_unit_norm_do_not_serve_a_frechet_distance() -> None:
    sides = [stats((UNIT, filled(Moments(WIDTH, unit_norm=True), embeddings(40, seed))), count=40) for seed in (1, 2)]
    for force in (False, True):
        with pytest.raises(StatisticsError, match=r"hold no moments of clip-vit-l14-336\.openai/embedding"):
            gm.evaluate(sides[0], sides[1], ["fd.clip-vit-l14-336.openai"], force=force)


def test_an_unnamed_mean_and_covariance_does_not_serve(tmp_path) -> None:
    """It may be of the features or of their directions; the file does not say."""
    rows = embeddings(900, 1).astype(np.float64)
    np.savez(tmp_path / "x.npz", mu=rows.mean(axis=0), sigma=np.cov(rows.T))
    assert {need.extractor for need in gm.Stats.load(tmp_path / "x.npz").accumulators} == {UNKNOWN}
    with pytest.raises(StatisticsError, match=r"hold no moments \(unit_norm=1\)"):
        gm.evaluate(tmp_path / "x.npz", tmp_path / "x.npz", ["cmmd_fast"])


def test_an_npz_for_other_tools_takes_the_features_as_they_are(tmp_path) -> None:
    from genmetrics.stats.formats import save_as

    rows = 3 * embeddings(50, 1)
    both = stats((UNIT, filled(Moments(WIDTH, unit_norm=True), rows)), (PLAIN, filled(Moments(WIDTH), rows)), count=50)
    save_as(both, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        np.testing.assert_allclose(file["mu"], rows.astype(np.float64).mean(axis=0), rtol=1e-12, atol=1e-15)
    alone = stats((UNIT, filled(Moments(WIDTH, unit_norm=True), rows)), count=50)
    with pytest.raises(StatisticsError, match="holds no mean and covariance"):
        save_as(alone, tmp_path / "y.npz")
