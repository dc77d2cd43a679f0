"""A part of the rows of a set is a set of its own."""

from __future__ import annotations

import pytest
import torch

from genmetrics.accumulators.rows import Alone, Rows

ROWS = torch.arange(40.0).reshape(20, 2)


class _One(Alone):
    """One of three processes."""

    count = 3

    def __init__(self, index: int) -> None:
        self.index = index


@pytest.mark.parametrize("most", [20, 3])
def test_of_one_process(most):
    chosen = torch.tensor([0, 3, 4, 11, 19])
    found = Rows.of(ROWS, most).only(chosen)
    assert (len(found), found.shape, found.most) == (5, (5, 2), most)
    assert torch.equal(torch.cat([rows for _, rows in found.visit()]), ROWS[chosen])
    assert torch.equal(found.take(torch.tensor([4, 1])), ROWS[[19, 3]])


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("chosen", [[0, 3, 4, 11, 19], [8, 9], [], list(range(20))])
def test_of_several_each_keeps_its_own(everywhere, chosen):
    bounds, kept = (0, 8, 8, 20), []
    places = torch.tensor(chosen, dtype=torch.int64)
    for index in range(3):
        held = ROWS if everywhere else ROWS[bounds[index] : bounds[index + 1]]
        found = Rows(held, bounds, 4, _One(index), everywhere).only(places)
        assert found.bounds == tuple(sum(place < bound for place in chosen) for bound in bounds)
        kept += [found.read(panel) for panel in found.own]
    assert torch.equal(torch.cat([*kept, ROWS[:0]]), ROWS[places])
