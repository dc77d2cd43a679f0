"""The divergences behind the Inception Score against a direct formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError

CLASSES = 6


def logits_of(count: int, seed: int = 0, scale: float = 2.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal((count, CLASSES))).astype(np.float32)


def expected(logits: np.ndarray, num_splits: int, seed: int) -> np.ndarray:
    """Permute, cut, and take mean KL(p(y|x) ‖ p(y)) of each part, probabilities in full."""
    wide = logits.astype(np.float64)
    probs = np.exp(wide - wide.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    probs = probs[np.random.RandomState(seed).permutation(len(probs))]
    divergences = []
    for split in range(num_splits):
        part = probs[split * len(probs) // num_splits : (split + 1) * len(probs) // num_splits]
        marginal = part.mean(axis=0)
        divergences.append((part * (np.log(part) - np.log(marginal))).sum(axis=1).mean())
    return np.array(divergences)


def fed(logits: np.ndarray, num_splits: int, seed: int, total: int | None, batch: int = 7) -> SoftmaxSums:
    sums = SoftmaxSums(logits.shape[1], num_splits, seed, total)
    for start in range(0, len(logits), batch):
        part = torch.from_numpy(logits[start : start + batch])
        sums.update(part, torch.arange(start, start + len(part)))
    return sums


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
@pytest.mark.parametrize(("count", "num_splits"), [(10, 10), (37, 10), (100, 10), (50, 1), (23, 4)])
def test_divergences_are_the_formulas(count: int, num_splits: int, known: bool) -> None:
    logits = logits_of(count, seed=count)
    sums = fed(logits, num_splits, seed=2020, total=count if known else None)
    np.testing.assert_allclose(sums.mean_divergences().numpy(), expected(logits, num_splits, 2020), atol=1e-13)


def test_unknown_total_goes_through_many_blocks() -> None:
    logits = logits_of(2500, seed=3)
    sums = fed(logits, 10, seed=1, total=None, batch=100)
    np.testing.assert_allclose(sums.mean_divergences().numpy(), expected(logits, 10, 1), atol=1e-12)


def test_the_seed_decides_the_splits() -> None:
    """Negative control: another permutation gives other splits."""
    logits = logits_of(40)
    ours = fed(logits, 10, seed=2020, total=40).mean_divergences().numpy()
    assert np.abs(ours - expected(logits, 10, 2021)).max() > 1e-3


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_the_split_follows_the_index_and_not_the_arrival(known: bool) -> None:
    logits = logits_of(30)
    order = np.random.default_rng(5).permutation(30)
    sums = SoftmaxSums(CLASSES, 10, 2020, 30 if known else None)
    for part in np.array_split(order, 4):
        sums.update(torch.from_numpy(logits[part]), torch.from_numpy(part))
    np.testing.assert_allclose(sums.mean_divergences().numpy(), expected(logits, 10, 2020), atol=1e-13)


def test_gaps_between_indices_close_where_the_total_is_unknown() -> None:
    logits = logits_of(24)
    sums = SoftmaxSums(CLASSES, 4, 0, None)
    sums.update(torch.from_numpy(logits), torch.arange(24) * 3 + 100)
    np.testing.assert_allclose(sums.mean_divergences().numpy(), expected(logits, 4, 0), atol=1e-13)


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_probabilities_that_underflow(known: bool) -> None:
    """One-hot by ±1000: p·log p is 0, so a split of one class scores 0 and one of k even classes log k."""
    hot = np.full((40, CLASSES), -1000.0, dtype=np.float32)
    hot[np.arange(40), np.arange(40) % 4] = 1000.0
    divergence = fed(hot, 1, seed=0, total=40 if known else None).mean_divergences()
    assert float(divergence[0]) == pytest.approx(np.log(4), abs=1e-12)
    same = np.full((40, CLASSES), -1000.0, dtype=np.float32)
    same[:, 2] = 1000.0
    divergence = fed(same, 5, seed=0, total=40 if known else None).mean_divergences()
    np.testing.assert_allclose(divergence.numpy(), np.zeros(5), atol=1e-12)


def test_large_equal_logits_do_not_overflow() -> None:
    flat = np.full((10, CLASSES), 1000.0, dtype=np.float32)
    np.testing.assert_allclose(fed(flat, 2, 0, 10).mean_divergences().numpy(), np.zeros(2), atol=1e-12)


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
@pytest.mark.parametrize("count", [0, 9])
def test_fewer_samples_than_splits_are_refused(count: int, known: bool) -> None:
    sums = fed(logits_of(count), 10, seed=0, total=count if known else None)
    with pytest.raises(
        StatisticsError,
        match=rf"^{count} image\(s\) cannot fill the 10 splits of the Inception Score; add images \(at least 10, "
        r"thousands for a number worth reporting\)$",
    ):
        sums.mean_divergences()


def test_fewer_samples_than_announced_are_refused() -> None:
    sums = fed(logits_of(20), 10, seed=0, total=25)
    with pytest.raises(
        StatisticsError, match=r"^20 images arrived where 25 were announced; the splits would be uneven$"
    ):
        sums.mean_divergences()


def test_repeated_index_is_refused_where_the_total_is_unknown() -> None:
    sums = SoftmaxSums(CLASSES, 2, 0, None)
    sums.update(torch.from_numpy(logits_of(4)), torch.tensor([0, 1, 2, 1]))
    with pytest.raises(StatisticsError, match="image index 1 occurs more than once"):
        sums.mean_divergences()


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_fed_tensors_are_copied(known: bool) -> None:
    logits = logits_of(20)
    sums, buffer = SoftmaxSums(CLASSES, 2, 0, 20 if known else None), torch.empty((1, CLASSES))
    for index, row in enumerate(logits):
        buffer[0] = torch.from_numpy(row)
        sums.update(buffer, torch.tensor([index]))
        buffer.fill_(50.0)
    np.testing.assert_allclose(sums.mean_divergences().numpy(), expected(logits, 2, 0), atol=1e-13)


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_state_that_was_given_out_stays_as_it_is(known: bool) -> None:
    logits = torch.from_numpy(logits_of(20))
    sums = SoftmaxSums(CLASSES, 2, 0, 20 if known else None)
    sums.update(logits[:12], torch.arange(12))
    state = sums.state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    sums.update(logits[12:], torch.arange(12, 20))
    for name, tensor in state.items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("width", SoftmaxSums(5, 10, 0, 20)),
        ("num_splits", SoftmaxSums(CLASSES, 5, 0, 20)),
        ("seed", SoftmaxSums(CLASSES, 10, 1, 20)),
        ("total", SoftmaxSums(CLASSES, 10, 0, 21)),
        ("total", SoftmaxSums(CLASSES, 10, 0, None)),
    ],
    ids=["width", "num_splits", "seed", "total", "unknown total"],
)
def test_other_settings_are_not_merged(field: str, other: SoftmaxSums) -> None:
    ours = SoftmaxSums(CLASSES, 10, 0, 20)
    message = f"statistics with {field} {getattr(ours, field)} and {field} {getattr(other, field)} cannot be merged"
    with pytest.raises(StatisticsError, match=f"^{message}$"):
        ours.merge(other)


def test_other_numbers_of_classes_are_refused() -> None:
    with pytest.raises(StatisticsError, match="number of classes 6 and number of classes 5 cannot be merged"):
        SoftmaxSums(CLASSES, 2, 0, 4).update(torch.zeros((4, 5)), torch.arange(4))


def test_an_index_beyond_the_announced_total_is_an_error() -> None:
    sums = SoftmaxSums(3, num_splits=2, seed=0, total=4)
    with pytest.raises(StatisticsError, match=r"image indices 3\.\.4 arrived where 4 images were announced"):
        sums.update(torch.zeros(2, 3), torch.tensor([3, 4]))
