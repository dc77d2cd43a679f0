"""Moments without each block, against NumPy, and which sample is in which block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators import block_moments
from genmetrics.accumulators.block_moments import NUM_BLOCKS, BlockMoments, block_of
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError


def rows(count: int, width: int, seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, width)) * 2 + 5
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("count", [8, 40, 3000])
@pytest.mark.parametrize("batch", [7, 1000])
def test_without_each_block_is_numpys_of_the_others(count, batch):
    values, width = rows(count, 6), 6
    moments = BlockMoments(width, 4)
    order = torch.from_numpy(np.random.default_rng(1).permutation(count))
    for part in torch.split(order, batch):
        moments.update(values[part], part)
    assert moments.num_samples == count
    blocks = block_of(torch.arange(count), 4)
    found = moments.without_each()
    assert len(found) == 4
    for number, without in enumerate(found):
        others = values[blocks != number].double().numpy()
        assert without.num_samples == len(others)
        np.testing.assert_allclose(without.mean().numpy(), others.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(without.covariance().numpy(), np.cov(others, rowvar=False), rtol=1e-9, atol=1e-12)


def test_reading_changes_nothing_of_what_is_fed_later():
    values = rows(2000, 3)
    read, unread = BlockMoments(3), BlockMoments(3)
    for part in torch.split(torch.arange(2000), 64):
        for moments in (read, unread):
            moments.update(values[part], part)
        read.without_each(), read.state()
    for name, value in read.state().items():
        assert torch.equal(value, unread.state()[name]), name


def test_a_state_goes_on_to_the_same_bits():
    """As a run that is resumed does."""
    values = rows(3000, 3)
    whole, moments = BlockMoments(3), BlockMoments(3)
    for part in torch.split(torch.arange(3000), 50):
        whole.update(values[part], part)
        moments = BlockMoments.from_state(moments.state())
        moments.update(values[part], part)
    for name, value in whole.state().items():
        assert torch.equal(value, moments.state()[name]), name


def test_a_state_holds_half_of_each_covariance():
    moments = BlockMoments(3)
    moments.update(rows(4000, 3), torch.arange(4000))
    shapes = {tuple(value.shape) for name, value in moments.state().items() if name.endswith(".m2")}
    assert shapes == {(6,)}
    again = BlockMoments.from_state(moments.state())
    for ours, theirs in zip(moments.without_each(), again.without_each(), strict=True):
        # The other half has other last bits on some processors.
        assert torch.equal(ours.covariance().tril(), theirs.covariance().tril())
        assert torch.equal(theirs.covariance(), theirs.covariance().T)


def test_blocks_are_even_and_a_function_of_the_index():
    blocks = block_of(torch.arange(1003))
    assert torch.bincount(blocks).tolist() == pytest.approx([100] * NUM_BLOCKS, abs=1)
    assert torch.equal(block_of(torch.arange(500, 520)), blocks[500:520])
    assert torch.equal(torch.bincount(blocks[20:30]), torch.ones(10, dtype=torch.int64))


@pytest.mark.parametrize("period", [2, 5, 10, 20, 100])
def test_classes_in_turn_do_not_fill_a_block(period):
    """Negative control: by the index alone, modulo ten, each class would be in few blocks."""
    index = torch.arange(20_000)
    counts = torch.zeros((period, NUM_BLOCKS))
    for label, block in zip((index % period).tolist(), block_of(index).tolist(), strict=True):
        counts[label, block] += 1
    expected = 20_000 / period / NUM_BLOCKS
    assert float((counts - expected).abs().max()) < 6 * expected**0.5
    assert float(((index % NUM_BLOCKS)[index % 10 == 3] == 3).float().mean()) == 1.0


def test_no_more_is_kept_on_a_cpu_than_the_rows_that_wait(monkeypatch):
    monkeypatch.setattr(block_moments, "_AT_ONCE", 16)
    moments = BlockMoments(2, 4)
    for part in torch.split(torch.arange(1000), 10):
        moments.update(rows(len(part), 2), part)
        assert all(sum(len(some) for some, _ in waiting) < 16 for waiting in moments._waiting)


def test_bad_values_are_named():
    values = rows(5, 3)
    values[3, 1] = torch.nan
    with pytest.raises(StatisticsError, match=r"1 image\(s\) contain NaN or infinity \(indices 13\)"):
        BlockMoments(3).update(values, torch.arange(10, 15))


def test_leaving_out_too_many():
    values = rows(5, 3)
    moments, part = Moments(3), Moments(3)
    moments.update(values, torch.arange(5))
    part.update(values[:4], torch.arange(4))
    with pytest.raises(StatisticsError, match=r"1 of 5 image\(s\) would be left"):
        moments.without(part)


@pytest.mark.parametrize("count", [30, 2500])
@pytest.mark.parametrize("offset", [0.0, 40.0])
def test_tail_weight_is_that_of_the_rows(count, offset):
    values = (rows(count, 7, seed=3) - 5).double().numpy() * np.random.default_rng(4).exponential(
        1, (count, 1)
    ) + offset
    moments = BlockMoments(7)
    for part in torch.split(torch.from_numpy(np.random.default_rng(5).permutation(count)), 64):
        moments.update(torch.from_numpy(values)[part], part)
    apart = np.square(values - values.mean(axis=0)).sum(axis=1)
    sigma = np.cov(values, rowvar=False)
    expected = (apart.var(ddof=1) + np.trace(sigma) ** 2) / (np.trace(sigma) ** 2 + 2 * np.square(sigma).sum())
    assert moments.tail_weight() == pytest.approx(expected, rel=1e-8)
    halves = [BlockMoments(7), BlockMoments(7)]
    for number in range(count):
        halves[number % 2].update(torch.from_numpy(values[number : number + 1]), torch.tensor([number]))
    again = BlockMoments.from_state(halves[0].merge(halves[1]).state())
    assert again.tail_weight() == pytest.approx(expected, rel=1e-8)


def test_tail_weight_of_a_gaussian_is_one():
    moments = BlockMoments(5)
    moments.update(rows(200_000, 5), torch.arange(200_000))
    assert moments.tail_weight() == pytest.approx(1.0, abs=0.02)


def test_tail_weight_is_not_known_of_a_state_without_its_sums():
    moments = BlockMoments(3)
    moments.update(rows(50, 3), torch.arange(50))
    state = {name: value for name, value in moments.state().items() if name != "lengths"}
    old = BlockMoments.from_state(state)
    assert old.tail_weight() is None
    assert old.merge(moments).tail_weight() is None
    old.update(rows(50, 3), torch.arange(50, 100))
    assert old.tail_weight() is None
    assert BlockMoments(3).tail_weight() is None
