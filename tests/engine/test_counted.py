"""Which indices were counted, against sets of numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from genmetrics.engine.counted import CountedIndices


def counted(*batches: list[int]) -> CountedIndices:
    made = CountedIndices()
    for batch in batches:
        made.add(torch.tensor(batch, dtype=torch.int64))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_counter_says(seed: int) -> None:
    """Any batches on any number of ranks, with few or many repeated."""
    rng = np.random.default_rng(seed)
    most = int(rng.integers(20, 400))
    seen: Counter[int] = Counter()
    whole = CountedIndices()
    for _ in range(int(rng.integers(1, 5))):
        rank = CountedIndices()
        for _ in range(int(rng.integers(0, 60))):
            batch = rng.integers(0, most, int(rng.integers(0, 5)))
            if rng.random() < 0.5:
                batch = np.arange(batch.sum() % most, batch.sum() % most + len(batch))
            assert rank.repeated_in(torch.from_numpy(batch)) == sorted(
                {int(i) for i in batch if bool(rank.has(torch.tensor([int(i)]))) or (batch == i).sum() > 1}
            )
            rank.add(torch.from_numpy(batch))
            seen.update(batch.tolist())
        whole = whole.merge(CountedIndices.from_state(rank.state()))
    assert whole.num_samples == seen.total()
    assert whole.repeated() == sorted(index for index, count in seen.items() if count > 1)
    numbers = torch.arange(-5, most + 10)
    assert whole.has(numbers).tolist() == [index in seen for index in numbers.tolist()]
    missing = [index for index in range(most // 2) if index not in seen]
    beyond = any(index >= most // 2 for index in seen)
    found = whole.missing_of(most // 2)
    assert [index for index in found if index < most // 2] == missing[:10][: len(found)] or len(found) == 10
    assert bool(found) == (bool(missing) or beyond)


def test_ranges_of_ranks_that_take_turns_become_one() -> None:
    """Memory: what each rank has in pieces is one range over all of them."""
    ranks = [counted(list(range(rank, 1000, 4))) for rank in range(4)]
    assert len(ranks[0].state()["starts"]) == 250
    whole = ranks[0].merge(ranks[1]).merge(ranks[2].merge(ranks[3]))
    assert (whole.state()["starts"].tolist(), whole.state()["stops"].tolist()) == ([0], [1000])
    assert whole.repeated() == [] and whole.missing_of(1000) == []


def test_merging_leaves_both_as_they_are() -> None:
    first, second = counted([1, 2]), counted([2, 3])
    assert first.merge(second).repeated() == [2]
    assert first.repeated() == second.repeated() == []
    assert first.num_samples == second.num_samples == 2


def test_nothing_is_the_identity() -> None:
    first = counted([4, 2], [9])
    for merged in (first.merge(CountedIndices()), CountedIndices().merge(first)):
        assert all(torch.equal(merged.state()[name], value) for name, value in first.state().items())
