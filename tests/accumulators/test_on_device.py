"""Accumulators that do not wait for a device: the same statistics, and the same refusals a little later.

The late path runs here on a CPU by being told that values are late; what arrives when, the test decides. Tests marked
``gpu`` run it on a device.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genmetrics.accumulators import feature_bank, moments, on_device
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError
from support.late_device import Arriving, waiting_is_an_error

WIDTH, BATCH, BATCHES = 6, 4, 30
TOTAL = BATCH * BATCHES

KINDS: dict[str, Callable[[], Accumulator]] = {
    "moments, folded": lambda: Moments(WIDTH),
    "moments, rows": lambda: Moments(WIDTH),
    "moments of unit norm": lambda: Moments(WIDTH, unit_norm=True),
    "feature bank": lambda: FeatureBank(WIDTH),
    "softmax sums": lambda: SoftmaxSums(WIDTH, 3, 2020, TOTAL),
    "softmax sums, total unknown": lambda: SoftmaxSums(WIDTH, 3, 2020, None),
}


@pytest.fixture
def late(monkeypatch):
    """Makes a CPU a device that answers when it likes."""
    for module in (on_device, feature_bank, moments):
        monkeypatch.setattr(module, "is_late", lambda values: True)
    for module in (on_device, feature_bank):
        monkeypatch.setattr(module, "Fetched", Arriving)
    for name, value in (("all_arrived", False), ("most_open", 0), ("open", 0)):
        monkeypatch.setattr(Arriving, name, value)
    return Arriving


def batches(count: int = BATCHES) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    values = torch.randn((count * BATCH, WIDTH), generator=generator) + 2
    return list(zip(values.split(BATCH), torch.arange(count * BATCH).split(BATCH), strict=True))


def spoiled(number: int, row: int, value: float = float("nan")) -> list[tuple[Tensor, Tensor]]:
    made = batches()
    made[number][0][row] = value
    return made


def feed(held: Accumulator, fed: list[tuple[Tensor, Tensor]]) -> None:
    for values, indices in fed:
        held.update(values, indices)


def immediate_text(kind: str, fed: list[tuple[Tensor, Tensor]]) -> str:
    held = KINDS[kind]()
    with pytest.raises(StatisticsError) as caught:
        feed(held, fed)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_late_statistics_are_the_immediate_ones(kind, request):
    count = 1 if kind == "moments, rows" else BATCHES
    expected = KINDS[kind]()
    for values, indices in batches(count):
        expected.update(values, indices)
    request.getfixturevalue("late")
    held = KINDS[kind]()
    for values, indices in batches(count):
        held.update(values, indices)
        values.fill_(float("nan"))  # the caller's again
    for name, tensor in expected.state().items():
        assert torch.equal(held.state()[name], tensor), name
    assert Arriving.open == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_sample_is_named_when_the_statistics_are_read(kind, request):
    fed = spoiled(7, 2)
    text = immediate_text(kind, fed)
    assert "indices 30)" in text
    request.getfixturevalue("late")
    held, other = KINDS[kind](), KINDS[kind]()
    for values, indices in fed[:10]:
        held.update(values, indices)  # nothing has arrived
    for read in (held.settle, held.state, lambda: held.merge(other), lambda: other.merge(held)):
        with pytest.raises(StatisticsError) as caught:
            read()
        assert str(caught.value) == text
    with pytest.raises(StatisticsError) as caught:
        held.update(*batches()[10])
    assert str(caught.value) == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_sample_stops_a_run_as_soon_as_it_is_known(kind, late):
    fed = spoiled(7, 2)
    held = KINDS[kind]()
    for values, indices in fed[:9]:
        held.update(values, indices)
    late.all_arrived = True
    with pytest.raises(StatisticsError, match=r"indices 30\)"):
        held.update(*fed[9])


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_sample_stops_a_run_at_most_so_many_batches_later(kind, late):
    fed = spoiled(2, 1)
    held = KINDS[kind]()
    with pytest.raises(StatisticsError, match=r"indices 9\)"):
        feed(held, fed)
    assert 2 < held.num_samples // BATCH <= 2 + on_device._MOST_OPEN


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_on_its_way_is_bounded(kind, late):
    held = KINDS[kind]()
    for values, indices in batches():
        held.update(values, indices)
    assert 4 < late.most_open <= 2 * (on_device._MOST_OPEN + 1) + feature_bank._MOST_ARRIVING + 1


def test_zero_rows_of_unit_norm_are_refused_late(request):
    fed = spoiled(3, 1, 0.0)
    text = immediate_text("moments of unit norm", fed)
    assert "all zero (indices 13)" in text
    request.getfixturevalue("late")
    held = Moments(WIDTH, unit_norm=True)
    for values, indices in fed[:8]:
        held.update(values, indices)
    with pytest.raises(StatisticsError) as caught:
        held.mean()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "read", ["mean", "covariance", "second_moment", "smaller_second_moment", "total_variance", "factor"]
)
def test_no_figure_is_read_past_a_bad_sample(read, late):
    held = Moments(WIDTH)
    for values, indices in spoiled(1, 1)[:5]:
        held.update(values, indices)
    with pytest.raises(StatisticsError, match="NaN"):
        getattr(held, read)()


@pytest.mark.parametrize("kind", ["softmax sums", "softmax sums, total unknown"])
def test_no_score_is_read_past_a_bad_sample(kind, late):
    held = KINDS[kind]()
    for values, indices in spoiled(BATCHES - 1, 1):
        held.update(values, indices)
    with pytest.raises(StatisticsError, match="NaN"):
        held.mean_divergences()


def test_bad_samples_of_the_first_bad_batch_are_named_together(late):
    fed = spoiled(1, 1)
    fed[1][0][3, 2] = float("inf")
    fed[2][0][0] = float("nan")
    held = FeatureBank(WIDTH)
    for values, indices in fed[:6]:
        held.update(values, indices)
    with pytest.raises(StatisticsError, match=r"2 image\(s\) contain NaN or infinity \(indices 5, 7\)"):
        held.rows()


@pytest.mark.parametrize("is_late", [False, True])
def test_rows_put_together_for_a_reader_are_not_kept_on_a_device(is_late, request):
    """There the reader's stream made them, and a later update would let their memory go while it is read."""
    if is_late:
        request.getfixturevalue("late")
    rows = torch.randn((60, 20), generator=torch.Generator().manual_seed(5)) + 2
    fed = list(zip(rows.split(4), torch.arange(60).split(4), strict=True))
    held, once = Moments(20), Moments(20)
    feed(held, fed[:5])
    before = [block.data_ptr() for block in held._rows]
    figures = held.mean(), held.second_moment(), held.covariance()
    kept = [block.data_ptr() for block in held._rows]
    # On a CPU one block is kept in place of the five, and never both.
    assert kept == before if is_late else len(kept) == 1
    for again, figure in zip((held.mean(), held.second_moment(), held.covariance()), figures, strict=True):
        assert torch.equal(again, figure)
    feed(held, fed[5:])
    feed(once, fed)
    torch.testing.assert_close(held.covariance(), once.covariance(), rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_is_not_waited_for_and_gives_the_same(kind):
    count = 1 if kind == "moments, rows" else BATCHES
    expected, held = KINDS[kind](), KINDS[kind]()
    on_gpu = [(values.cuda(), indices) for values, indices in batches(count)]
    for values, indices in batches(count):
        expected.update(values, indices)
    held.update(*on_gpu[0])  # library handles and page-locked blocks are made here
    with waiting_is_an_error():
        for values, indices in on_gpu[1:]:
            held.update(values, indices)
    for name, tensor in expected.state().items():
        found = held.state()[name]
        assert found.device.type == "cpu"
        torch.testing.assert_close(found, tensor, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_plain_waiting_is_noticed():
    """The negative control of the test above: what accumulators did before."""
    values = torch.ones(4, device="cuda")
    with waiting_is_an_error(), pytest.raises(RuntimeError, match="synchroniz"):
        bool(torch.isfinite(values).all())


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_sample_on_a_device_is_named(kind):
    fed = spoiled(7, 2)
    text = immediate_text(kind, fed)
    held = KINDS[kind]()
    with pytest.raises(StatisticsError) as caught:
        feed(held, [(values.cuda(), indices) for values, indices in fed])
    assert str(caught.value) == text


@pytest.mark.gpu
def test_sums_on_a_device_do_not_depend_on_the_run():
    """Sums by atomic additions would differ in the last digits from run to run."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((512, 1008), generator=generator).cuda()
    states = []
    for _ in range(3):
        held = SoftmaxSums(1008, 10, 2020, 512)
        for start in range(0, 512, 64):
            held.update(logits[start : start + 64], torch.arange(start, start + 64))
        states.append(held.state()["sums"])
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])


@pytest.mark.gpu
def test_figures_between_updates_change_nothing_on_a_device():
    """Updates on one stream and figures on another, as an ``Evaluator`` has them."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn((6000, 2048), generator=generator) + 1
    statistics = torch.cuda.Stream()

    def fed(held: Moments, part: Tensor) -> None:
        for values in part.split(100):
            on_gpu = values.cuda()
            statistics.wait_stream(torch.cuda.current_stream())
            on_gpu.record_stream(statistics)
            with torch.cuda.stream(statistics):
                held.update(on_gpu, torch.arange(len(values)))
            torch.zeros((100, 2048), dtype=torch.float64, device="cuda").fill_(7)  # whoever wants memory

    held, once = Moments(2048), Moments(2048)
    fed(held, rows[:2000])
    held.mean()
    fed(held, rows[2000:])
    fed(once, rows)
    torch.testing.assert_close(held.mean(), once.mean(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(held.covariance(), once.covariance(), rtol=1e-10, atol=1e-12)
