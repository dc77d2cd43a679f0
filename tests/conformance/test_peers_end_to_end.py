"""``genmetrics.evaluate`` against torch-fidelity 0.4.0's ``calculate_metrics`` on one pair of image folders.

Both read the same PNG files and the same random weights, and compute FID, KID and the Inception Score in one go.
Tolerances, and in brackets what was reached with torch 2.13.0 and NumPy 2.4.6: Inception Score 1e-5 relative (1e-15);
KID 1e-6 absolute (1e-7); FID, which is below full rank here, 1e-9 relative to the exact distance of the peer's own
features (4e-15), and 1e-3 to the peer's number, which carries its own noise (2e-5).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics
from genmetrics.report.report import Report
from support.peers import import_peer

fidelity = import_peer("torch_fidelity")
fidelity_isc = import_peer("torch_fidelity.metric_isc")
fidelity_kid = import_peer("torch_fidelity.metric_kid")
fidelity_utils = import_peer("torch_fidelity.utils")

# A size each, for torch-fidelity stacks the images of a folder as they are.
GEN, REF = (45, 40, 72), (36, 96, 64)
SUBSET_SIZE = min(GEN[0], REF[0])


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(*GEN, seed=31, warmth=3.0), image_folder(*REF, seed=32)


@pytest.fixture(scope="module")
def settings(
    folders: tuple[Path, Path], inception_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """What all calls of the peer share: its cache, so that it extracts once, and decoding in this process."""
    return {
        "input1": str(folders[0]),
        "input2": str(folders[1]),
        "input1_cache_name": "gen",
        "input2_cache_name": "ref",
        "cache_root": str(tmp_path_factory.mktemp("fidelity_cache")),
        "feature_extractor_weights_path": str(inception_weights),
        "batch_size": 16,
        "cuda": False,
        "save_cpu_ram": True,
        "verbose": False,
    }


@pytest.fixture(scope="module")
def theirs(settings: dict[str, object]) -> dict[str, float]:
    return fidelity.calculate_metrics(isc=True, fid=True, kid=True, kid_subset_size=SUBSET_SIZE, **settings)


@pytest.fixture(scope="module")
def features(theirs: dict[str, float], settings: dict[str, object]) -> tuple[dict[str, torch.Tensor], ...]:
    """The peer's own features of both folders, from its cache."""
    network = fidelity_utils.create_feature_extractor("inception-v3-compat", ["2048", "logits_unbiased"], **settings)
    return tuple(fidelity_utils.extract_featuresdict_from_input_id_cached(side, network, **settings) for side in (1, 2))


@pytest.fixture(scope="module")
def report(folders: tuple[Path, Path], inception_weights: Path) -> Report:
    return genmetrics.evaluate(*folders, ["fid", "kid", "isc"], weights=inception_weights, device="cpu")


@pytest.fixture(scope="module")
def layer_by_layer(folders: tuple[Path, Path], inception_weights: Path) -> Report:
    return genmetrics.evaluate(*folders, ["fid"], weights=inception_weights, device="cpu", backend="reference")


def exact_frechet(gen: np.ndarray, ref: np.ndarray) -> float:
    """By the nuclear norm of the samples' cross-Gram matrix, in NumPy alone."""
    rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (gen, ref)]
    overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap)


class TestTorchFidelity:
    def test_inception_score(self, report, theirs):
        result = report["isc"]
        print(result, theirs)
        assert result.value == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
        assert result.extra["std"] == pytest.approx(theirs["inception_score_std"], rel=1e-5)
        # Neither uniform nor one-hot, or the agreement would say little.
        assert 1.01 < result.value < 6

    def test_kid(self, report, theirs):
        result = report["kid"]
        print(result, theirs)
        assert result.value == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)
        assert result.extra["std"] == pytest.approx(theirs["kernel_inception_distance_std"], abs=1e-6)
        assert abs(result.value) > 1e-4

    def test_kid_says_that_its_subsets_are_smaller(self, report):
        result = report["kid"]
        assert result.extra["subset_size"] == SUBSET_SIZE
        assert result.protocol.estimator == f"poly3-100x{SUBSET_SIZE}"
        assert any(f"lowered from 1000 to {SUBSET_SIZE}" in warning for warning in result.warnings)

    @pytest.mark.parametrize(("backend", "tolerance"), [("reference", 1e-9), ("auto", 1e-6)])
    def test_fid(self, report, layer_by_layer, theirs, features, backend, tolerance):
        gen, ref = (side["2048"].double().numpy() for side in features)
        result = (layer_by_layer if backend == "reference" else report)["fid"]
        print(result, theirs, exact_frechet(gen, ref))
        assert result.value == pytest.approx(exact_frechet(gen, ref), rel=tolerance)
        assert result.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
        assert any("no more images" in warning for warning in result.warnings)

    @pytest.mark.parametrize("change", ["swapped sides", "another seed", "another order"])
    def test_other_draws_are_told_apart(self, report, features, change):
        gen, ref = features
        seed = 2021 if change == "another seed" else 2020
        if change == "swapped sides":
            gen, ref = ref, gen
        elif change == "another order":
            gen, ref = ({name: rows.flip(0) for name, rows in side.items()} for side in (gen, ref))
        kid = fidelity_kid.kid_features_to_metric(
            gen["2048"], ref["2048"], kid_subset_size=SUBSET_SIZE, rng_seed=seed, verbose=False
        )
        isc = fidelity_isc.isc_features_to_metric(gen["logits_unbiased"], rng_seed=seed)
        print(report["kid"].value, kid, report["isc"].value, isc)
        assert abs(report["kid"].value - kid["kernel_inception_distance_mean"]) > 1e-5
        assert abs(report["isc"].value / isc["inception_score_mean"] - 1) > 1e-4


def test_torch_fidelity_on_its_command_line(image_folder, inception_weights):
    """The number of the peer's command, which decodes in worker processes of its own."""
    folder = image_folder(13, 40, 72, seed=33)
    runner = Path(__file__).parents[1] / "support" / "run_peer.py"
    arguments = ["--input1", folder, "--isc", "--cpu", "--json", "--silent", "--no-cache"]
    arguments += ["--feature-extractor-weights-path", inception_weights]
    process = subprocess.run(
        [sys.executable, runner, "torch_fidelity.fidelity", *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    ours = genmetrics.evaluate(folder, metrics=["isc"], weights=inception_weights, device="cpu")["isc"]
    assert ours.value == pytest.approx(found["inception_score_mean"], rel=1e-5)
    assert ours.extra["std"] == pytest.approx(found["inception_score_std"], rel=1e-5)
