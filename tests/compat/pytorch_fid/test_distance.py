"""``calculate_frechet_distance`` beside pytorch-fid 0.3.0's.

Tolerance: 1e-6 relative at full rank (reached: 3e-13). Below it the original's root of a singular product carries
noise, and what is given are covariances, rounded: there 1e-7 to the exact number of the samples (reached: 2e-8) and
1e-3 to the original's (4e-7).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch

from genmetrics.compat.pytorch_fid.fid_score import calculate_frechet_distance
from genmetrics.errors import StatisticsError
from support.pytorch_fid_peer import exact_frechet, original, peer_warnings, relative

FULL_RANK, BELOW_FULL_RANK, TO_THE_TRUTH = 1e-6, 1e-3, 1e-7


def rows(seed: int, count: int, width: int, tilt: float = 0.0) -> np.ndarray:
    """Correlated features that are never negative."""
    mixing = np.random.RandomState(7).standard_normal((width, width)) * np.arange(1, width + 1)[:, None] ** -0.7
    return np.maximum(np.random.RandomState(seed).standard_normal((count, width)) @ mixing * (1 + tilt) + 0.5, 0)


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


def theirs(*arguments: object, **more: float) -> float:
    with peer_warnings():
        return float(original.calculate_frechet_distance(*arguments, **more))


@pytest.mark.parametrize(("width", "counts"), [(64, (500, 400)), (192, (1000, 600)), (2, (9, 7))])
def test_full_rank(width, counts):
    gen, ref, other = (
        moments(rows(seed, count, width, tilt))
        for seed, count, tilt in zip((1, 2, 3), (*counts, counts[1]), (0.1, 0.0, 0.0), strict=True)
    )
    ours = calculate_frechet_distance(*gen, *ref)
    assert isinstance(ours, np.float64)
    assert relative(ours, theirs(*gen, *ref)) <= FULL_RANK
    assert relative(ours, theirs(*gen, *other)) > 100 * FULL_RANK


def test_below_full_rank():
    sides = rows(1, 50, 192, 0.1), rows(2, 120, 192)
    given = [each for side in sides for each in moments(side)]
    ours = calculate_frechet_distance(*given)
    assert relative(ours, exact_frechet(sides)) <= TO_THE_TRUTH
    assert relative(ours, theirs(*given)) <= BELOW_FULL_RANK


@pytest.mark.parametrize(
    "given",
    [
        ([1, 2], [[2, 1], [1, 3]], [0, 0], [[1, 0], [0, 1]]),
        (np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.ones(2), np.eye(2) * 4),
        (torch.zeros(2), torch.eye(2), torch.ones(2).double(), torch.eye(2) * 4),
    ],
    ids=["lists of integers", "float32", "tensors"],
)
def test_forms(given):
    assert relative(calculate_frechet_distance(*given), theirs(*map(np.asarray, given))) <= FULL_RANK


@pytest.mark.parametrize(
    "given",
    [
        (1.0, 2.0, 3.0, 5.0),
        (1, 2, 3, 5),
        ([1.0], [[2.0]], [3.0], [[5.0]]),
        ([1.0], [2.0], [3.0], [5.0]),
        (np.float32(1), np.float32(2), np.array(3.0), np.array([5.0])),
    ],
    ids=["numbers", "integers", "lists", "flat lists", "NumPy's numbers"],
)
def test_one_dimension(given):
    """np.atleast_1d and 2d, as in the original, whose call of SciPy 1.17's sqrtm fails at 1x1."""
    assert calculate_frechet_distance(*given) == pytest.approx(4 + (5**0.5 - 2**0.5) ** 2, rel=FULL_RANK)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        theirs(*given)


def test_a_set_and_itself():
    """Never negative, as the original's rounding may be."""
    mu, sigma = moments(rows(1, 300, 64))
    assert 0 <= calculate_frechet_distance(mu, sigma, mu, sigma) < 1e-6


def test_eps_changes_nothing():
    """The original's only counts where SciPy's root is not finite, which is none of the numbers here."""
    given = [*moments(rows(1, 300, 64, 0.1)), *moments(rows(2, 300, 64))]
    numbers = {calculate_frechet_distance(*given, eps=eps) for eps in (1e-6, 0.0, 1.0)}
    assert numbers == {calculate_frechet_distance(*given)}
    assert theirs(*given, eps=1.0) == theirs(*given)


def test_zeros_in_different_dimensions():
    """SciPy before 1.16 has no finite root there, and the original adds eps to the root alone: the number moves."""
    sides = rows(1, 300, 64, 0.1), rows(2, 300, 64)
    sides[0][:, :4], sides[1][:, 4:8] = 0, 0
    given = [each for side in sides for each in moments(side)]
    assert relative(calculate_frechet_distance(*given), exact_frechet(sides)) <= TO_THE_TRUTH


def test_a_scipy_without_disp(monkeypatch):
    """SciPy 1.18 took the argument away that the original passes."""

    def sqrtm(matrix: np.ndarray) -> None:
        raise AssertionError("no root is taken")

    monkeypatch.setattr(scipy.linalg, "sqrtm", sqrtm)
    given = [*moments(rows(1, 300, 64, 0.1)), *moments(rows(2, 300, 64))]
    with pytest.raises(TypeError, match="disp"):
        theirs(*given)
    assert calculate_frechet_distance(*given) > 0


ONE = np.eye(2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (np.zeros(2), ONE, np.zeros(3), np.eye(3)),
            "mu1 has 2 values and mu2 has 3; expected two sets of one feature",
        ),
        (
            (np.zeros(3), ONE, np.zeros(2), ONE),
            r"'mu1' has 3 values and 'sigma1' is of shape \(2, 2\), expected \(3, 3\)",
        ),
        ((np.zeros(2), ONE, np.zeros((1, 2)), ONE), r"'mu2' is float64 of shape \(1, 2\), expected a vector \(d,\)"),
        (
            (np.zeros(2), ONE, [0.0, np.nan], ONE),
            "'mu2' holds NaN or infinity in 1 of its 2 values; make the array again",
        ),
        (
            (np.zeros(2), np.full((2, 2), np.inf), np.zeros(2), ONE),
            "'sigma1' holds NaN or infinity in 4 of its 4 values",
        ),
        ((np.zeros(2), [[1, 2], [0, 1]], np.zeros(2), ONE), "'sigma1' is not symmetric"),
        (
            (np.zeros(2), ONE, np.zeros(2), [[1, 2], [2, 1]]),
            "'sigma2' is not positive semidefinite .* The array is damaged",
        ),
        ((np.zeros(2), ONE * 1j, np.zeros(2), ONE), "'sigma1' is complex128 of shape .*: complex numbers"),
    ],
)
def test_what_is_no_pair_of_means_and_covariances(given, message):
    """Named by its argument. The original asserts, says "Imaginary component", or gives a number or NaN."""
    with pytest.raises(StatisticsError, match=f"^calculate_frechet_distance: .*{message}"):
        calculate_frechet_distance(*given)


def test_where_the_original_says_imaginary_component():
    """An indefinite matrix has no real root with a covariance."""
    given = (np.zeros(2), ONE, np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="Imaginary component"):
        theirs(*given)
    with pytest.raises(ValueError, match="its eigenvalues run from -1 to 3"):
        calculate_frechet_distance(*given)


def test_signature():
    def of(function: Callable[..., object]) -> list[tuple[str, object]]:
        return [(each.name, each.default) for each in inspect.signature(function).parameters.values()]

    assert of(calculate_frechet_distance) == of(original.calculate_frechet_distance)
