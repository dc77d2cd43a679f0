"""The Vendi score against vendi-score 0.0.3, of order 1 and 2, and two traps of that package.

Tolerance: 1e-9 relative; the package is fed float64, since it computes in the features' own type. Reached with NumPy
2.4.6 and SciPy 1.17.1: 2e-14.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.metrics.vendi import renyi_entropy, von_neumann_entropy
from support.peers import import_peer

TOLERANCE = 1e-9
COUNTS = [40, 64, 65, 500]


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    return import_peer("vendi_score.vendi")


def features(count: int, width: int = 64) -> Tensor:
    scales = np.linspace(0.1, 2, width)
    rows = np.random.RandomState(count).standard_normal((count, width)) * scales + 0.3
    return torch.from_numpy(rows.astype(np.float32))


def ours(rows: Tensor, order: int) -> float:
    moments = Moments(rows.shape[1], unit_norm=True)
    for start in range(0, len(rows), 33):
        block = rows[start : start + 33]
        moments.update(block, torch.arange(start, start + len(block)))
    entropy = von_neumann_entropy if order == 1 else renyi_entropy
    return float(np.exp(entropy(moments.smaller_second_moment())))


def similarities(rows: Tensor) -> np.ndarray:
    x = rows.double().numpy()
    return x @ x.T


def relative(name: str, one: float, other: float) -> float:
    found = abs(one - other) / other
    print(f"{name}: ours {one:.15g}, theirs {other:.15g}, relative {found:.1e}")
    return found


@pytest.fixture(autouse=True)
def sparse_matrices_under_their_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package asks for ``scipy.sparse.csr``, a name that SciPy warns of; it is told the new one."""
    import scipy.sparse

    class _Old:
        csr_matrix = scipy.sparse.csr_matrix

    monkeypatch.setattr(scipy.sparse, "csr", _Old, raising=False)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("order", [1, 2])
class TestVendiScore:
    def test_of_all_similarities(self, count, order, peer):
        rows = features(count)
        theirs = float(peer.score_K(similarities(rows), q=order, normalize=True))
        assert relative("score_K", ours(rows, order), theirs) <= TOLERANCE

    def test_of_the_second_moment(self, count, order, peer):
        rows = features(count)
        theirs = float(peer.score_dual(rows.double().numpy(), q=order, normalize=True))
        assert relative("score_dual", ours(rows, order), theirs) <= TOLERANCE


@pytest.mark.parametrize("count", COUNTS)
def test_of_features(count, peer):
    rows = features(count)
    assert relative("score_X", ours(rows, 1), float(peer.score_X(rows.double().numpy()))) <= TOLERANCE


class TestToldApart:
    def test_without_unit_norm(self, peer):
        rows = features(100)
        unnormalised = similarities(rows) / similarities(rows).diagonal().mean()
        assert relative("K as it is", ours(rows, 1), float(peer.score_K(unnormalised))) > 1e4 * TOLERANCE

    def test_score_X_ignores_the_order(self, peer):
        """Asked for order 2 it gives order 1; ``score_K`` does not."""
        rows = features(100)
        asked = float(peer.score_X(rows.double().numpy(), q=2))
        assert relative("score_X, q = 2, as order 1", ours(rows, 1), asked) <= TOLERANCE
        assert relative("score_X, q = 2", ours(rows, 2), asked) > 1e4 * TOLERANCE

    def test_intdiv_X_does_not_work(self, peer):
        with pytest.raises(TypeError, match="intdiv"):
            peer.intdiv_X(features(10).double().numpy())
