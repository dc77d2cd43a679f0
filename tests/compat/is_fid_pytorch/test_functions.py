"""The function of the distance against SciPy's matrix root, and the equal splits against the transcription."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.is_fid_pytorch import calculate_frechet_distance
from genmetrics.compat.is_fid_pytorch.inception_score import EqualSplits
from genmetrics.errors import GenmetricsWarning, StatisticsError
from support import score_model as original


def drawn(seed: int, width: int = 48, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(seed)
    features = rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + rng.standard_normal(width)
    return features.mean(axis=0), np.cov(features, rowvar=False)


class TestFrechetDistance:
    def test_scipy(self):
        """Tolerance 1e-6 relative at full rank; reached 1e-13."""
        ours, theirs = (function(*drawn(0), *drawn(1)) for function in (calculate_frechet_distance, original.frechet))
        print(abs(ours - theirs) / theirs)
        assert ours == pytest.approx(theirs, rel=1e-6) and ours.dtype == np.float64
        assert ours == pytest.approx(calculate_frechet_distance(*drawn(1), *drawn(0)), rel=1e-9)
        assert ours != pytest.approx(calculate_frechet_distance(*drawn(0), *drawn(2)), rel=1e-2)

    def test_one_dimension(self):
        """Numbers stand for it: (1 - 3)² + 4 + 9 - 2 · 6."""
        assert calculate_frechet_distance(1, 4, 3, 9) == pytest.approx(5.0)
        assert calculate_frechet_distance(1.0, 4.0, 3.0, 9.0, eps=1e-3) == pytest.approx(5.0)

    def test_never_negative(self):
        assert 0 <= calculate_frechet_distance(*drawn(0), *drawn(0)) < 1e-6

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            (drawn(0, 3), "mu1 has 48 values and mu2 has 3"),
            ((np.zeros(48), -np.eye(48)), "sigma2"),
            ((np.full(48, np.inf), np.eye(48)), "'mu2' holds NaN or infinity"),
        ],
    )
    def test_refused(self, second, message):
        with pytest.raises(StatisticsError, match=message):
            calculate_frechet_distance(*drawn(0), *second)


class TestEqualSplits:
    @pytest.mark.parametrize("count", [10, 37, 60])
    def test_transcription(self, count):
        """Batch by batch; tolerance 1e-9 relative, both in float64."""
        logits = 2 * torch.randn(count, 30, generator=torch.Generator().manual_seed(count))
        splits = EqualSplits(count, 10, 30)
        for start in range(0, count, 7):
            splits.update(logits[start : start + 7], start)
        if count % 10:
            with pytest.warns(GenmetricsWarning, match=f"leaves out the last {count % 10} of {count} images"):
                found = splits.scores()
        else:
            found = splits.scores()
        assert found == pytest.approx(
            original.inception_score(logits.double().softmax(dim=1).numpy(), 10), rel=1e-9, abs=1e-12
        )
