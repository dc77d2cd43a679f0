"""Rows that come back in the order of their indices, each once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError

WIDTH = 3


def rows_of(indices: list[int]) -> torch.Tensor:
    """A row that tells its index in every column."""
    return torch.tensor([[index, index + 0.25, -index] for index in indices], dtype=torch.float32).reshape(-1, WIDTH)


def fed(*batches: list[int]) -> FeatureBank:
    bank = FeatureBank(WIDTH)
    for indices in batches:
        bank.update(rows_of(indices), torch.tensor(indices, dtype=torch.int64))
    return bank


@pytest.mark.parametrize("batches", [([0, 1, 2, 3, 4],), ([4, 2], [0, 3, 1]), ([3], [], [4, 0], [2], [1])], ids=str)
def test_rows_come_by_ascending_index(batches: tuple[list[int], ...]) -> None:
    bank = fed(*batches)
    assert bank.num_samples == 5
    assert torch.equal(bank.indices(), torch.arange(5))
    assert torch.equal(bank.rows(), rows_of([0, 1, 2, 3, 4]))
    assert bank.rows().dtype == torch.float32


def test_indices_may_have_gaps() -> None:
    bank = fed([1_000_000_000_000, 7])
    assert bank.indices().tolist() == [7, 1_000_000_000_000]
    assert torch.equal(bank.rows()[0], rows_of([7])[0])


def test_feeding_goes_on_after_reading() -> None:
    bank = fed([5, 1])
    assert bank.indices().tolist() == [1, 5]
    bank.update(rows_of([3]), torch.tensor([3]))
    assert bank.indices().tolist() == [1, 3, 5]
    assert torch.equal(bank.rows(), rows_of([1, 3, 5]))


def test_rows_that_were_given_out_stay() -> None:
    bank = fed([5, 1])
    rows = bank.rows()
    bank.update(rows_of([0]), torch.tensor([0]))
    bank.rows()
    assert torch.equal(rows, rows_of([1, 5]))


def test_empty_bank() -> None:
    bank = FeatureBank(WIDTH)
    assert bank.num_samples == 0
    assert bank.rows().shape == (0, WIDTH)
    assert bank.indices().shape == (0,)


def test_wider_floats_are_rounded_to_float32() -> None:
    values = np.random.default_rng(0).standard_normal((4, WIDTH))
    bank = FeatureBank(WIDTH)
    bank.update(torch.from_numpy(values), torch.arange(4))
    np.testing.assert_array_equal(bank.rows().numpy(), values.astype(np.float32))


def test_fed_tensors_are_copied() -> None:
    bank, buffer, index = FeatureBank(WIDTH), torch.empty((1, WIDTH)), torch.empty(1, dtype=torch.int64)
    for position in (2, 0, 1):
        buffer.copy_(rows_of([position]))
        index.fill_(position)
        bank.update(buffer, index)
    assert torch.equal(bank.rows(), rows_of([0, 1, 2]))


TWICE = r"^image index 3 occurs more than once \(2 repeated in all\); each image must be counted exactly once$"


def test_repeated_index_is_refused_when_read() -> None:
    bank = fed([3, 1, 4], [4, 3])
    with pytest.raises(StatisticsError, match=TWICE):
        bank.rows()
    # It stays refused; the second look must not give rows.
    with pytest.raises(StatisticsError, match=TWICE):
        bank.state()


def test_repeated_index_is_refused_when_merged() -> None:
    with pytest.raises(StatisticsError, match=TWICE):
        fed([3, 1, 4]).merge(fed([4, 3]))


def test_merge_sorts_both() -> None:
    merged = fed([9, 0]).merge(fed([4], [2]))
    assert merged.indices().tolist() == [0, 2, 4, 9]
    assert torch.equal(merged.rows(), rows_of([0, 2, 4, 9]))
    assert merged.num_samples == 4


def test_state_holds_sorted_rows() -> None:
    state = fed([2, 0], [1]).state()
    assert torch.equal(state["indices"], torch.arange(3))
    assert torch.equal(state["rows"], rows_of([0, 1, 2]))


def test_nan_is_refused_by_index() -> None:
    bank = fed([0])
    rows = rows_of([5, 6])
    rows[1, 2] = float("nan")
    with pytest.raises(StatisticsError, match=r"features of 1 image\(s\) contain NaN or infinity \(indices 6\)"):
        bank.update(rows, torch.tensor([5, 6]))
    assert bank.indices().tolist() == [0]


def test_other_widths_are_refused() -> None:
    with pytest.raises(StatisticsError, match="feature width 3 and feature width 4 cannot be merged"):
        FeatureBank(3).update(torch.zeros((1, 4)), torch.arange(1))
    with pytest.raises(StatisticsError, match="feature width 3 and feature width 4 cannot be merged"):
        FeatureBank(3).merge(FeatureBank(4))
