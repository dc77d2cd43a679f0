"""The three modes from files to features and numbers, on the full network, against clean-fid 0.1.35.

Tolerances: features 1e-5 relative; FID 1e-6 relative to the exact form of clean-fid's features; KID 1e-6 absolute, with
the same draws. Few images: the network is slow here, and clean-fid's own ``sqrtm`` of 2,048² takes a minute, so that its
number is only computed in the slow test.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics
from genmetrics.compat.cleanfid import fid

MODES = {"clean": "fid_clean", "legacy_tensorflow": "fid", "legacy_pytorch": "fid_pytorch"}
FEW = "ignore:no more images:genmetrics.errors.GenmetricsWarning"
pytestmark = pytest.mark.filterwarnings(FEW)


@pytest.fixture(scope="module")
def few(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return image_folder(7, 64, 64, seed=21, warmth=1.0), image_folder(8, 97, 60, seed=22)


@pytest.fixture(scope="module")
def features(few) -> dict[str, list[np.ndarray]]:
    """Ours, by the engine."""
    return {
        mode: [fid.get_folder_features(str(folder), mode=mode, device="cpu", verbose=False) for folder in few]
        for mode in MODES
    }


@pytest.fixture(scope="module")
def kept() -> dict[str, list[np.ndarray]]:
    return {}


def theirs_of(theirs, few, kept, mode) -> list[np.ndarray]:
    if mode not in kept:
        model = theirs.features.build_feature_extractor(mode, torch.device("cpu"), use_dataparallel=False)
        options = {"num_workers": 0, "batch_size": 4, "device": torch.device("cpu"), "mode": mode, "verbose": False}
        kept[mode] = [theirs.fid.get_folder_features(str(folder), model, **options) for folder in few]
    return kept[mode]


@pytest.mark.parametrize("mode", MODES)
class TestMode:
    def test_features(self, mode, features, theirs, few, kept):
        expected = theirs_of(theirs, few, kept, mode)
        for ours, other in zip(features[mode], expected, strict=True):
            assert ours.dtype == np.float32 and ours.shape == other.shape
            difference = (np.linalg.norm(ours - other, axis=1) / np.linalg.norm(other, axis=1)).max()
            print(mode, difference)
            assert difference <= 1e-5
        # Negative control: of another mode they are others.
        other = features["clean" if mode != "clean" else "legacy_pytorch"][0]
        assert np.linalg.norm(features[mode][0] - other) / np.linalg.norm(other) > 1e-3

    def test_fid(self, mode, theirs, few, kept, exact, capsys):
        expected = exact(*theirs_of(theirs, few, kept, mode))
        ours = fid.compute_fid(str(few[0]), str(few[1]), mode=mode, device=torch.device("cpu"), num_workers=0)
        print(mode, ours, expected)
        assert ours == pytest.approx(expected, rel=1e-6)
        assert isinstance(ours, float)
        # The engine's own metric is the same number.
        report = genmetrics.evaluate(*few, [MODES[mode]], device="cpu")
        assert ours == pytest.approx(report[MODES[mode]].value, rel=1e-9)

    def test_kid(self, mode, theirs, few, kept):
        feats = theirs_of(theirs, few, kept, mode)
        np.random.seed(2020)  # noqa: NPY002 - clean-fid draws from it
        expected = theirs.fid.kernel_distance(*feats)
        ours = fid.compute_kid(few[0], few[1], mode=mode, device="cpu", num_workers=0, verbose=False)
        print(mode, ours, expected)
        assert ours == pytest.approx(expected, abs=1e-6)
        assert fid.compute_kid(few[0], few[1], mode=mode, device="cpu", verbose=False, seed=1) != ours


def test_kid_of_the_command_line_with_the_sides_turned_round(few):
    """clean-fid draws of the second folder first, and genmetrics of the generated set."""
    ours = fid.compute_kid(few[0], few[1], device="cpu", verbose=False)
    with warnings.catch_warnings():
        report = genmetrics.evaluate(few[1], few[0], ["kid_clean"], device="cpu")
    assert ours == pytest.approx(report["kid_clean"].value, abs=1e-12)


@pytest.mark.slow
def test_clean_fids_own_number(theirs, few):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.fid.compute_fid(
            str(few[0]), str(few[1]), device=torch.device("cpu"), num_workers=0, use_dataparallel=False
        )
    ours = fid.compute_fid(few[0], few[1], device="cpu")
    print(ours, expected)
    assert ours == pytest.approx(expected, rel=1e-3)
