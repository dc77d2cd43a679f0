"""What every accumulator promises, over all of them. A new kind needs one entry in CASES."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.build import ACCUMULATORS, BLOCKS, CAPTIONS, PAIRS, PATHS
from genmetrics.accumulators.by_index import ByIndex
from genmetrics.accumulators.content import ContentDigest
from genmetrics.accumulators.feature_bank import FeatureBank, RowBank, Scalars
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError

WIDTH, TOTAL = 6, 24
Figures = Callable[[Accumulator], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One kind under one setting.

    Attributes:
        kind: its name in ``ACCUMULATORS``; None for what is used beside them.
        make: an empty one.
        values: samples to feed, (count, ...).
        figures: what is read from it; equal figures mean equal statistics.
        floats: whether samples can be NaN.
    """

    kind: str | None
    make: Callable[[], Accumulator]
    values: Callable[[int], Tensor]
    figures: Figures
    floats: bool = True


def floats(width: int) -> Callable[[int], Tensor]:
    def draw(count: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng(3).standard_normal((count, width)).astype(np.float32)) + 4

    return draw


def pixels(count: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(4).integers(0, 256, (count, 3, 5, 4), dtype=np.uint8))


def whole_numbers(count: int) -> Tensor:
    """With some that occur again."""
    drawn = np.random.default_rng(5).integers(-(2**63), 2**63, count, dtype=np.int64)
    drawn[count // 2 : count // 2 + 3] = drawn[:3]
    return torch.from_numpy(drawn)


def moments_figures(moments: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(moments, Moments)
    return {
        "mean": moments.mean().numpy(),
        "covariance": moments.covariance().numpy(),
        "second moment": moments.second_moment().numpy(),
    }


def block_figures(moments: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(moments, BlockMoments)
    without = moments.without_each()
    return {
        "means": np.stack([part.mean().numpy() for part in without]),
        "covariances": np.stack([part.covariance().numpy() for part in without]),
    }


def bank_figures(bank: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(bank, RowBank)
    return {"rows": bank.rows().numpy(), "indices": bank.indices().numpy()}


def sums_figures(sums: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(sums, SoftmaxSums)
    return {"divergences": sums.mean_divergences().numpy()}


def content_figures(content: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(content, ContentDigest)
    return {"digest": np.frombuffer(bytes.fromhex(content.hexdigest()), dtype=np.uint8)}


def by_index_figures(held: Accumulator) -> dict[str, np.ndarray]:
    assert isinstance(held, ByIndex)
    return {"values": held.values().numpy(), "indices": held.indices().numpy()}


CASES = {
    "moments, folded": Case("moments", lambda: Moments(WIDTH), floats(WIDTH), moments_figures),
    "moments, rows": Case("moments", lambda: Moments(2 * TOTAL), floats(2 * TOTAL), moments_figures),
    "moments, between": Case("moments", lambda: Moments(TOTAL // 2), floats(TOTAL // 2), moments_figures),
    "blocks, folded": Case(BLOCKS, lambda: BlockMoments(2, 4), floats(2), block_figures),
    "blocks, rows": Case(BLOCKS, lambda: BlockMoments(2 * TOTAL, 4), floats(2 * TOTAL), block_figures),
    "blocks, between": Case(BLOCKS, lambda: BlockMoments(TOTAL // 2, 4), floats(TOTAL // 2), block_figures),
    **{kind: Case(kind, lambda: Scalars(2), floats(2), bank_figures) for kind in (PAIRS, CAPTIONS, PATHS)},
    "moments of unit norm, folded": Case(
        "moments", lambda: Moments(WIDTH, unit_norm=True), floats(WIDTH), moments_figures
    ),
    "moments of unit norm, rows": Case(
        "moments", lambda: Moments(2 * TOTAL, unit_norm=True), floats(2 * TOTAL), moments_figures
    ),
    "moments of unit norm, between": Case(
        "moments", lambda: Moments(TOTAL // 2, unit_norm=True), floats(TOTAL // 2), moments_figures
    ),
    "feature_bank": Case("feature_bank", lambda: FeatureBank(WIDTH), floats(WIDTH), bank_figures),
    "softmax_sums, total known": Case(
        "softmax_sums", lambda: SoftmaxSums(WIDTH, 4, 2020, TOTAL), floats(WIDTH), sums_figures
    ),
    "softmax_sums, total unknown": Case(
        "softmax_sums", lambda: SoftmaxSums(WIDTH, 4, 2020, None), floats(WIDTH), sums_figures
    ),
    "softmax_sums, chunks, total known": Case(
        "softmax_sums", lambda: SoftmaxSums(WIDTH, 0, 0, TOTAL, chunk=7), floats(WIDTH), sums_figures
    ),
    "softmax_sums, chunks, total unknown": Case(
        "softmax_sums", lambda: SoftmaxSums(WIDTH, 0, 0, None, chunk=7), floats(WIDTH), sums_figures
    ),
    "labels": Case(None, Labels, whole_numbers, by_index_figures, floats=False),
    "image keys": Case(None, ImageKeys, whole_numbers, by_index_figures, floats=False),
    "content": Case(None, ContentDigest, pixels, content_figures, floats=False),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def fed(case: Case, indices: Sequence[int], *cuts: int) -> Accumulator:
    """The samples of these indices, in this order, in batches that end at the cuts."""
    values, accumulator = case.values(TOTAL), case.make()
    for part in np.split(np.array(indices, dtype=np.int64), cuts):
        accumulator.update(values[part], torch.from_numpy(part))
    return accumulator


def copied(accumulator: Accumulator) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in accumulator.state().items()}


def assert_same_state(accumulator: Accumulator, before: dict[str, Tensor]) -> None:
    after = accumulator.state()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype and torch.equal(after[name], tensor), name


def assert_same(case: Case, ours: Accumulator, theirs: Accumulator) -> None:
    assert ours.num_samples == theirs.num_samples
    left, right = case.figures(ours), case.figures(theirs)
    for name, expected in right.items():
        if np.issubdtype(expected.dtype, np.floating):
            np.testing.assert_allclose(left[name], expected, rtol=1e-12, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(left[name], expected, err_msg=name)


ALL = range(TOTAL)


@pytest.mark.parametrize("inside", [(True, False), (False, True), (True, True)])
def test_feeding_may_go_on_outside_of_inference_mode(case: Case, inside: tuple[bool, bool]) -> None:
    values, accumulator = case.values(TOTAL), case.make()
    for part, mode in zip(np.split(np.arange(TOTAL), (TOTAL // 2,)), inside, strict=True):
        with torch.inference_mode(mode):
            accumulator.update(values[part], torch.from_numpy(part))
    assert_same(case, accumulator, fed(case, ALL))


def test_every_registered_kind_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} - {None} == set(ACCUMULATORS)
    for case in CASES.values():
        if case.kind is not None:
            assert type(case.make()) is ACCUMULATORS[case.kind]


def test_figures_tell_sets_apart(case: Case) -> None:
    """Negative control: without this, every test below could pass on figures that never change."""
    whole, values = fed(case, ALL), case.values(TOTAL)
    other = case.make()
    changed = values.clone()
    if case.floats:
        changed[5] += torch.linspace(0, 1, changed.shape[1])
    else:
        changed[5] = changed[5].flip(0) if changed.ndim > 1 else changed[5] ^ 1
    other.update(changed, torch.arange(TOTAL))
    with pytest.raises(AssertionError):
        assert_same(case, other, whole)


@pytest.mark.parametrize("cuts", [range(1, TOTAL), (1,), (23,), (0, 7, 7, 16), (5, 6, 20)], ids=str)
def test_batch_split_does_not_matter(case: Case, cuts: Sequence[int]) -> None:
    assert_same(case, fed(case, ALL, *cuts), fed(case, ALL))


@pytest.mark.parametrize("seed", range(3))
def test_order_of_arrival_does_not_matter(case: Case, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(TOTAL)
    assert_same(case, fed(case, list(order), 4, 5, 17), fed(case, ALL))


@pytest.mark.parametrize("left", [1, 3, 12, 23])
def test_merge_is_concatenation(case: Case, left: int) -> None:
    merged = fed(case, ALL[:left]).merge(fed(case, ALL[left:], 2))
    assert_same(case, merged, fed(case, ALL))


def test_merge_is_symmetric(case: Case) -> None:
    ours, theirs = fed(case, ALL[::2]), fed(case, ALL[1::2], 3)
    assert_same(case, ours.merge(theirs), theirs.merge(ours))


def test_merge_is_associative(case: Case) -> None:
    a, b, c = fed(case, ALL[:2]), fed(case, ALL[2:15]), fed(case, ALL[15:])
    assert_same(case, a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(case, a.merge(b).merge(c), fed(case, ALL))


@pytest.mark.parametrize("touched", [False, True], ids=["fresh", "fed an empty batch"])
def test_empty_is_the_identity(case: Case, touched: bool) -> None:
    empty = fed(case, []) if touched else case.make()
    whole = fed(case, ALL, 9)
    assert empty.num_samples == 0
    assert_same(case, empty.merge(whole), whole)
    assert_same(case, whole.merge(empty), whole)
    assert empty.merge(case.make()).num_samples == 0


@pytest.mark.parametrize(("left", "right"), [(0, TOTAL), (TOTAL, 0), (3, 21), (12, 12), (0, 0)])
def test_merge_leaves_its_arguments_alone(case: Case, left: int, right: int) -> None:
    ours, theirs = fed(case, ALL[:left], left // 2), fed(case, ALL[left : left + right], right // 2)
    before = copied(ours), copied(theirs)
    merged = ours.merge(theirs)
    assert merged is not ours and merged is not theirs
    assert_same_state(ours, before[0])
    assert_same_state(theirs, before[1])


@pytest.mark.parametrize("left", [0, 3, 20])
def test_merged_shares_nothing_with_its_arguments(case: Case, left: int) -> None:
    """Feeding the merged must not reach the arguments, nor the other way round."""
    most = ALL[: TOTAL - 2]
    ours, theirs = fed(case, most[:left]), fed(case, most[left:])
    merged = ours.merge(theirs)
    before = copied(ours), copied(theirs), copied(merged)
    values = case.values(TOTAL)
    merged.update(values[-2:], torch.arange(TOTAL)[-2:])
    assert_same_state(ours, before[0])
    assert_same_state(theirs, before[1])
    assert_same(case, merged, fed(case, ALL))
    again = ours.merge(theirs)
    for part in (ours, theirs):
        part.update(values[-1:], torch.arange(TOTAL)[-1:])
    assert_same_state(again, before[2])


@pytest.mark.parametrize("count", [0, 1, 5, TOTAL])
def test_state_survives_a_file(case: Case, count: int, tmp_path: Path) -> None:
    accumulator = fed(case, ALL[:count], count // 2)
    state = {name: tensor.contiguous() for name, tensor in accumulator.state().items()}
    assert all(tensor.device.type == "cpu" for tensor in state.values())
    save_file(state, tmp_path / "state.safetensors")
    back = type(accumulator).from_state(load_file(tmp_path / "state.safetensors"))
    assert back.num_samples == count
    assert_same_state(back, state)
    back.update(case.values(TOTAL)[count:], torch.arange(count, TOTAL))
    assert_same(case, back, fed(case, ALL))


def test_restored_shares_nothing_with_the_state(case: Case) -> None:
    state = fed(case, ALL[:20]).state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    back = type(case.make()).from_state(state)
    back.update(case.values(TOTAL)[20:], torch.arange(20, TOTAL))
    for name, tensor in state.items():
        assert torch.equal(tensor, before[name]), name


def test_restored_merges(case: Case) -> None:
    parts = [type(case.make()).from_state(fed(case, part).state()) for part in (ALL[:0], ALL[:7], ALL[7:])]
    assert_same(case, parts[0].merge(parts[1]).merge(parts[2]), fed(case, ALL))


def test_what_is_fed_is_not_changed(case: Case) -> None:
    values, indices = case.values(TOTAL), torch.arange(TOTAL).flip(0)
    before = values.clone(), indices.clone()
    accumulator = case.make()
    accumulator.update(values, indices)
    case.figures(accumulator)
    assert torch.equal(values, before[0])
    assert torch.equal(indices, before[1])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.floats])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_is_refused_and_leaves_no_trace(name: str, bad: float) -> None:
    case = CASES[name]
    accumulator = fed(case, ALL[:10], 4)
    before = copied(accumulator)
    poisoned = case.values(TOTAL)[10:]
    poisoned[3, 1] = bad
    with pytest.raises(StatisticsError, match=r"NaN or infinity \(indices 13\)"):
        accumulator.update(poisoned, torch.arange(10, TOTAL))
    assert accumulator.num_samples == 10
    assert_same_state(accumulator, before)
