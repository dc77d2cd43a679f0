"""Moments against numpy.mean and numpy.cov, in both of their phases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError

WIDTH = 8


def features(count: int, seed: int = 0, offset: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """(count, WIDTH) float64 with correlated columns."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((WIDTH, WIDTH))
    return offset + scale * rng.standard_normal((count, WIDTH)) @ mixing


def fed(rows: np.ndarray, *sizes: int) -> Moments:
    """Moments of the rows, in batches of the given sizes and a last one of what is left."""
    moments = Moments(rows.shape[1])
    start = 0
    for size in (*sizes, len(rows) - sum(sizes)):
        part = torch.from_numpy(rows[start : start + size])
        moments.update(part, torch.arange(start, start + len(part)))
        start += size
    return moments


def assert_is(moments: Moments, rows: np.ndarray, rtol: float = 1e-12) -> None:
    """Every figure against NumPy's; a covariance's tolerance is relative to its largest entry."""
    covariance = np.cov(rows.T)
    tolerance = rtol * np.abs(covariance).max()
    assert moments.num_samples == len(rows)
    np.testing.assert_allclose(moments.mean().numpy(), rows.mean(axis=0), rtol=rtol, atol=rtol * np.abs(rows).max())
    np.testing.assert_allclose(moments.covariance().numpy(), covariance, rtol=0, atol=tolerance)
    assert moments.total_variance() == pytest.approx(np.trace(covariance), rel=rtol)
    factor = moments.factor().numpy()
    np.testing.assert_allclose(factor.T @ factor, covariance, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("count", [2, WIDTH - 1, WIDTH, WIDTH + 1, 5 * WIDTH, 1000])
def test_mean_and_covariance_are_numpys(count: int) -> None:
    rows = features(count, seed=count)
    assert_is(fed(rows, count // 3, count // 3), rows)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_any_scale(scale: float) -> None:
    rows = features(200, scale=scale)
    assert_is(fed(rows, 3, 70, 1), rows)


def exact_covariance(rows: np.ndarray) -> np.ndarray:
    """The covariance after an exact shift towards zero, which loses nothing."""
    return np.cov((rows - rows[0]).T)


def test_large_offset() -> None:
    rows = features(3000, offset=1e6)
    covariance = exact_covariance(rows)
    tolerance = 1e-8 * np.abs(covariance).max()
    ours = fed(rows, 100, 1, 900, 17).covariance().numpy()
    np.testing.assert_allclose(ours, covariance, rtol=0, atol=tolerance)
    # Negative control: sums of squares cancel at this offset.
    naive = (rows.T @ rows - len(rows) * np.outer(rows.mean(axis=0), rows.mean(axis=0))) / (len(rows) - 1)
    assert np.abs(naive - covariance).max() > 1e3 * tolerance


def test_population_covariance_would_be_noticed() -> None:
    """Negative control: ddof 0 is off by 1/n, far outside the tolerance."""
    rows = features(50)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(fed(rows).covariance().numpy(), np.cov(rows.T, ddof=0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_dtypes_are_widened_before_anything_is_summed(dtype: torch.dtype) -> None:
    values = torch.from_numpy(features(300)).to(dtype)
    moments = Moments(WIDTH)
    for start in range(0, 300, 7):
        moments.update(values[start : start + 7], torch.arange(start, min(start + 7, 300)))
    assert_is(moments, values.to(torch.float64).numpy())


@pytest.mark.parametrize(
    ("count", "keeps_rows"), [(0, True), (1, True), (WIDTH - 1, True), (WIDTH, True), (WIDTH + 1, False)]
)
def test_rows_are_kept_up_to_the_width(count: int, keeps_rows: bool) -> None:
    state = fed(features(count, seed=1), count // 2).state()
    assert int(state["count"]) == count
    assert ("rows" in state) == keeps_rows
    if keeps_rows:
        assert state["rows"].shape == (count, WIDTH)
    else:
        assert state["mean"].shape == (WIDTH,)
        assert state["m2"].shape == (WIDTH, WIDTH)


def test_state_holds_rows_as_they_are() -> None:
    rows = features(WIDTH)
    np.testing.assert_array_equal(fed(rows, 3).state()["rows"].numpy(), rows)


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    sizes = [sum(tensor.numel() for tensor in fed(features(count)).state().values()) for count in (WIDTH + 1, 500)]
    assert sizes[0] == sizes[1] == 1 + WIDTH + WIDTH**2


@pytest.mark.parametrize("count", [WIDTH - 2, 4 * WIDTH], ids=["rows", "folded"])
def test_state_round_trip_goes_on_as_before(count: int) -> None:
    rows = features(count + 20, seed=4)
    moments = Moments.from_state(fed(rows[:count], 2).state())
    assert_is(moments, rows[:count])
    moments.update(torch.from_numpy(rows[count:]), torch.arange(count, count + 20))
    assert_is(moments, rows)


FEW, MANY = WIDTH // 2, 3 * WIDTH


@pytest.mark.parametrize("left", [FEW, WIDTH, MANY])
@pytest.mark.parametrize("right", [FEW, WIDTH, MANY])
def test_merge_of_every_combination_of_phases(left: int, right: int) -> None:
    rows = features(left + right, seed=left + right, offset=5.0)
    assert_is(fed(rows[:left], 2).merge(fed(rows[left:], 3)), rows)


def test_merged_moments_go_on() -> None:
    rows = features(60, seed=7)
    merged = fed(rows[:4]).merge(fed(rows[4:40]))
    merged.update(torch.from_numpy(rows[40:]), torch.arange(40, 60))
    assert_is(merged, rows)


@pytest.mark.parametrize("left", [2, MANY], ids=["rows", "folded"])
def test_what_is_fed_after_a_merge_does_not_reach_the_merged(left: int) -> None:
    rows = features(left + 2 + 10, seed=8)
    ours, theirs = fed(rows[:left]), fed(rows[left : left + 2])
    merged = ours.merge(theirs)
    for part in (ours, theirs):
        part.update(torch.full((1, WIDTH), 1e3, dtype=torch.float64), torch.tensor([99]))
    assert_is(merged, rows[: left + 2])


@pytest.mark.parametrize("count", [5, 50], ids=["rows", "folded"])
def test_fed_tensors_are_copied(count: int) -> None:
    """A loop may feed the same buffer again and again."""
    rows = features(count, seed=9)
    moments, buffer = Moments(WIDTH), torch.empty((1, WIDTH), dtype=torch.float64)
    for index, row in enumerate(rows):
        buffer[0] = torch.from_numpy(row)
        moments.update(buffer, torch.tensor([index]))
        buffer.fill_(1e9)
    assert_is(moments, rows)


@pytest.mark.parametrize("count", [5, 50], ids=["rows", "folded"])
def test_what_was_given_out_stays_as_it_is(count: int) -> None:
    """A checkpoint, or a mean that was kept, must not move with what is fed later."""
    rows = features(count, seed=10)
    moments = fed(rows)
    given: dict[str, Tensor] = {**moments.state(), "the mean": moments.mean(), "sigma": moments.covariance()}
    before = {name: tensor.clone() for name, tensor in given.items()}
    moments.update(torch.from_numpy(features(30, seed=11)), torch.arange(30))
    for name, tensor in given.items():
        assert torch.equal(tensor, before[name]), name


def test_factor_is_renewed_when_more_is_fed() -> None:
    rows = features(40, seed=12)
    moments = fed(rows[:20])
    moments.factor()
    moments.update(torch.from_numpy(rows[20:]), torch.arange(20, 40))
    assert_is(moments, rows)


def test_few_samples_have_a_factor_of_as_many_rows() -> None:
    assert fed(features(3)).factor().shape == (3, WIDTH)


def test_empty_batch_changes_nothing() -> None:
    rows = features(20)
    moments = fed(rows, 0, 5, 0)
    moments.update(torch.empty((0, WIDTH)), torch.empty(0, dtype=torch.int64))
    assert_is(moments, rows)


def test_mean_of_nothing_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^0 image\(s\): a mean and covariance need at least 1; add images$"):
        Moments(WIDTH).mean()


@pytest.mark.parametrize("figure", ["covariance", "total_variance", "factor"])
@pytest.mark.parametrize("count", [0, 1])
def test_covariance_of_fewer_than_two_is_refused(figure: str, count: int) -> None:
    moments = fed(features(count))
    with pytest.raises(
        StatisticsError, match=rf"^{count} image\(s\): a mean and covariance need at least 2; add images$"
    ):
        getattr(moments, figure)()


def test_mean_of_one_is_the_sample() -> None:
    rows = features(1)
    np.testing.assert_array_equal(fed(rows).mean().numpy(), rows[0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused_by_index(bad: float) -> None:
    moments, rows = fed(features(20)), torch.from_numpy(features(4))
    rows[1, 3] = rows[3, 0] = bad
    with pytest.raises(
        StatisticsError,
        match=r"^the features of 2 image\(s\) contain NaN or infinity \(indices 41, 43\); no number computed from "
        r"them would mean anything\. Look at these images, the weights, and the precision of the network$",
    ):
        moments.update(rows, torch.arange(40, 44))
    assert_is(moments, features(20))


def test_long_lists_of_bad_images_are_cut() -> None:
    rows = torch.full((12, WIDTH), float("nan"))
    with pytest.raises(StatisticsError, match=r"features of 12 image\(s\).*\(indices 0, 1, .*, 9, …\)"):
        Moments(WIDTH).update(rows, torch.arange(12))


def test_other_widths_are_refused() -> None:
    with pytest.raises(StatisticsError, match="feature width 8 and feature width 5 cannot be merged"):
        Moments(8).update(torch.zeros((2, 5)), torch.arange(2))
    with pytest.raises(StatisticsError, match="feature width 8 and feature width 5 cannot be merged"):
        Moments(8).merge(Moments(5))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fed_unit(rows: np.ndarray, *sizes: int) -> Moments:
    moments, start = Moments(rows.shape[1], unit_norm=True), 0
    for size in (*sizes, len(rows) - sum(sizes)):
        moments.update(torch.from_numpy(rows[start : start + size]), torch.arange(start, start + size))
        start += size
    return moments


PHASES = [WIDTH - 2, WIDTH, 5 * WIDTH]


@pytest.mark.parametrize("count", PHASES)
def test_rows_of_unit_norm(count: int) -> None:
    rows = features(count, seed=count, offset=0.5)
    assert_is(fed_unit(rows, 2, 3), unit(rows))
    # Negative control: the rows as they came have other moments.
    with pytest.raises(AssertionError):
        assert_is(fed(rows), unit(rows))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_norms_whose_squares_do_not_fit(scale: float) -> None:
    rows = features(20)
    assert_is(fed_unit(scale * rows), unit(rows), rtol=1e-11)


@pytest.mark.parametrize("count", PHASES)
def test_unit_norm_is_taken_once(count: int) -> None:
    """Neither a merge nor a file divides a second time: the rows come back to the last bit."""
    rows = features(count, seed=3)
    moments = fed_unit(rows, 2)
    state = moments.state()
    back = Moments.from_state(state)
    assert back.unit_norm and int(state["unit_norm"]) == 1
    merged = moments.merge(Moments(WIDTH, unit_norm=True))
    for other in (back, merged):
        assert other.state().keys() == state.keys()
        assert all(torch.equal(value, state[name]) for name, value in other.state().items())
        other.update(torch.from_numpy(features(9, seed=4)), torch.arange(9))
        assert_is(other, np.concatenate((unit(rows), unit(features(9, seed=4)))))


@pytest.mark.parametrize("count", PHASES)
def test_a_state_without_the_setting_is_of_rows_as_they_came(count: int) -> None:
    """Files from before there was one stay readable, and are written as they were."""
    state = fed(features(count)).state()
    assert "unit_norm" not in state
    assert not Moments.from_state(state).unit_norm


def test_unlike_norms_are_not_merged() -> None:
    with pytest.raises(StatisticsError, match=r"^statistics with unit_norm True and unit_norm False cannot be merged$"):
        fed_unit(features(5)).merge(fed(features(5)))


@pytest.mark.parametrize("count", [WIDTH - 3, 5 * WIDTH])
def test_zero_rows_are_refused_by_index_and_leave_no_trace(count: int) -> None:
    moments, rows = fed_unit(features(count)), features(4)
    rows[[0, 2]] = 0
    with pytest.raises(
        StatisticsError,
        match=r"^the features of 2 image\(s\) are all zero \(indices 50, 52\): they have no direction and cannot be "
        r"scaled to unit norm\. Look at these images and the weights of the network$",
    ):
        moments.update(torch.from_numpy(rows), torch.arange(50, 54))
    assert_is(moments, unit(features(count)))
    fed(rows)  # as they are, zeros are features like others


@pytest.mark.parametrize("count", [1, *PHASES])
def test_second_moment(count: int) -> None:
    rows = features(count, seed=count, offset=2.0)
    expected = rows.T @ rows / count
    moments = fed(rows, count // 2)
    np.testing.assert_allclose(moments.second_moment().numpy(), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    smaller = moments.smaller_second_moment().numpy()
    assert len(smaller) == (count if count <= WIDTH else WIDTH)
    values, ours = np.linalg.eigvalsh(expected), np.linalg.eigvalsh(smaller)
    np.testing.assert_allclose(ours[::-1], values[::-1][: len(ours)], rtol=1e-9, atol=1e-12 * values[-1])
    if count > 1:
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(np.cov(rows.T), expected, rtol=1e-3)


def test_second_moment_of_nothing_and_of_no_count_is_refused() -> None:
    for figure in ("second_moment", "smaller_second_moment"):
        with pytest.raises(StatisticsError, match=r"^0 image\(s\): a mean and covariance need at least 1; add images$"):
            getattr(Moments(WIDTH), figure)()
        uncounted = Moments.from_covariance(fed(features(20)).mean(), fed(features(20)).covariance(), None)
        with pytest.raises(
            StatisticsError, match=r"^a second moment cannot be had from a mean and covariance of an unknown number"
        ):
            getattr(uncounted, figure)()
