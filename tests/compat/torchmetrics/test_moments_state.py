"""Moments in one tensor, against NumPy: 1e-12 relative."""

from __future__ import annotations

import pytest
import torch

from support.peers import import_peer

torchmetrics = import_peer("torchmetrics")
states = import_peer("genmetrics.compat.torchmetrics.moments_state")
WIDTH = 5


def rows(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 3).to(dtype)


def of(values: torch.Tensor, *sizes: int) -> torch.Tensor:
    state = states.no_samples(WIDTH)
    for part in values.split(list(sizes) or [len(values)]):
        state = states.add_samples(state, part)
    return state


@pytest.mark.parametrize("sizes", [(12,), (1,) * 12, (5, 7), (4, 1, 7), (0, 6, 6), (3, 0, 9), (5, 1, 6)])
def test_mean_and_covariance(sizes):
    values = rows(12)
    moments = states.moments_of(of(values, *sizes))
    assert moments.num_samples == states.num_samples(of(values, *sizes)) == 12
    torch.testing.assert_close(moments.mean(), values.mean(dim=0), rtol=1e-12, atol=0)
    torch.testing.assert_close(moments.covariance(), torch.cov(values.T), rtol=1e-12, atol=1e-14)


def test_up_to_the_width_the_samples_are_kept():
    assert torch.equal(states.moments_of(of(rows(5), 2, 3)).state()["rows"], rows(5))
    assert "m2" in states.moments_of(of(rows(6), 2, 4)).state()


@pytest.mark.parametrize("counts", [(2, 3), (3, 3), (0, 4), (9, 2), (2, 9), (8, 0, 8, 1), (1,), (0, 0)])
def test_merging_is_putting_together(counts):
    parts = [rows(count, seed) for seed, count in enumerate(counts)]
    before = torch.stack([of(part) for part in parts])
    merged = states.merged(before.clone())
    assert torch.equal(before, torch.stack([of(part) for part in parts]))
    expected = of(torch.cat(parts))
    assert states.num_samples(merged) == sum(counts)
    for name, value in states.sums_of(expected).items():
        torch.testing.assert_close(states.sums_of(merged)[name], value, rtol=1e-12, atol=1e-12)
    again = states.add_samples(merged, rows(4, 9))
    torch.testing.assert_close(again, states.add_samples(expected, rows(4, 9)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [0, 3, 11])
def test_sums_there_and_back(count):
    values = rows(count)
    sums = states.sums_of(of(values))
    torch.testing.assert_close(sums["sum"], values.sum(dim=0), rtol=1e-12, atol=0)
    torch.testing.assert_close(sums["cov_sum"], values.T @ values, rtol=1e-12, atol=0)
    back = states.from_sums(sums["sum"], sums["cov_sum"], int(sums["num_samples"]))
    for name, value in states.sums_of(back).items():
        torch.testing.assert_close(value, sums[name], rtol=1e-12, atol=1e-12)


def test_the_widest_type_of_what_came():
    state, other = of(rows(2, dtype=torch.float16)), states.no_samples(WIDTH)
    assert states.features_type(state, other) == torch.float16
    assert states.features_type(other, other) == torch.float32
    state = states.add_samples(state, rows(7, dtype=torch.float64))
    state = states.add_samples(state, rows(2, dtype=torch.float32))
    assert states.features_type(states.merged(torch.stack([other, state]))) == torch.float64


def test_what_was_made_in_inference_mode_can_be_added_to():
    with torch.inference_mode():
        state = states.add_samples(states.no_samples(WIDTH), rows(2))
        merged = states.merged(torch.stack([state, state]))
    assert states.num_samples(states.add_samples(state, rows(2))) == 4
    assert states.num_samples(states.add_samples(merged, rows(2))) == 6


def test_width_one():
    values = torch.tensor([[1.0], [2.0], [4.0]])
    moments = states.moments_of(states.add_samples(states.no_samples(1), values))
    assert (float(moments.mean()), float(moments.covariance())) == pytest.approx((7 / 3, 7 / 3))
