"""The pass against every distance in float64: equal, whatever the offset, the copies and the ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genmetrics.accumulators.rows import Rows
from genmetrics.metrics import neighbour_balls, neighbour_pass, neighbour_spaces
from genmetrics.metrics.neighbour_pass import answer
from genmetrics.metrics.neighbour_questions import Balls, NearestOther, Neighbours, OwnBalls, Realism
from support.features import all_distances, own_distances, sample

QUESTIONS = (
    Balls("ref", 3, True),
    Balls("gen", 3, True),
    Balls("ref", 5, False),
    Balls("gen", 5, False),
    Balls("ref", 5, True, clipped=True),
    NearestOther("gen"),
    NearestOther("ref"),
    NearestOther("gen", "cosine"),
    NearestOther("ref", "absolute cosine"),
    Realism(3),
    OwnBalls(4),
    OwnBalls(5),
    Neighbours("ref", 5),
    Neighbours("gen", 2),
)
WHOLE, SMALL = 2**28, 16 * 27**2


def offset(shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    return sample(0, 90, 64, shift), sample(1, 80, 64, shift, 1.1)


def copies() -> tuple[torch.Tensor, torch.Tensor]:
    """Generated copies of reference samples, and a reference sample that occurs many times."""
    gen, ref = sample(0, 90, 24), sample(1, 80, 24)
    gen[:30] = ref[:30]
    ref[40:60] = ref[0]
    gen[70:] = gen[70]
    return gen, ref


def lattice() -> tuple[torch.Tensor, torch.Tensor]:
    """Small whole numbers: nearly all distances tie exactly."""
    return sample(0, 90, 6).round(), sample(1, 80, 6, 0.3).round()


def far_outliers() -> tuple[torch.Tensor, torch.Tensor]:
    gen, ref = sample(0, 90, 16), sample(1, 80, 16)
    gen[0], ref[0], ref[1] = 1e6, -1e6, 1e-12
    return gen, ref


def one_dimension() -> tuple[torch.Tensor, torch.Tensor]:
    return sample(0, 90, 1), sample(1, 80, 1)


SETS = {
    "plain": lambda: offset(0.0),
    "offset-100": lambda: offset(100.0),
    "offset-10000": lambda: offset(1e4),
    "copies": copies,
    "lattice": lattice,
    "far-outliers": far_outliers,
    "one-dimension": one_dimension,
    "same-set": lambda: (sample(0, 85, 12), sample(0, 85, 12)),
    "tiny": lambda: tuple(1e-20 * side for side in offset(0.0)),
    "huge": lambda: tuple(1e18 * side for side in offset(0.0)),
}


def expect_balls(question: Balls, gen: torch.Tensor, ref: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    own, other = (ref, gen) if question.side == "ref" else (gen, ref)
    radii = own_distances(own)[:, question.k - 1]
    if question.clipped:
        middle = np.median(np.sqrt(radii))
        radii = np.where(np.sqrt(radii) <= middle, radii, middle * middle)
    distances = all_distances(own, other)
    inside = distances <= radii[:, None] if question.inclusive else distances < radii[:, None]
    return inside.sum(axis=0), inside.sum(axis=1)


def unit(rows: torch.Tensor) -> np.ndarray:
    x = rows.numpy().astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms == 0, 1, norms)


@pytest.mark.parametrize("tile_bytes", [WHOLE, SMALL], ids=["one-tile", "tiles-of-27"])
@pytest.mark.parametrize("name", SETS)
def test_equals_float64(name: str, tile_bytes: int) -> None:
    gen, ref = SETS[name]()
    found = answer(QUESTIONS, gen, ref, tile_bytes=tile_bytes)
    assert len(found.balls) == 5
    for question, counts in found.balls.items():
        around, inside = expect_balls(question, gen, ref)
        assert counts.around.tolist() == around.tolist()
        assert counts.inside.tolist() == inside.tolist()
    assert len(found.own_balls) == 2
    for question, counts in found.own_balls.items():
        own = all_distances(ref, ref)
        np.fill_diagonal(own, np.inf)
        radii = np.sqrt(own_distances(ref)[:, question.k - 1])
        middle = np.median(radii)
        inside = own <= np.where(radii <= middle, own_distances(ref)[:, question.k - 1], middle * middle)[:, None]
        assert counts.tolist() == inside.sum(axis=0).tolist()
    for question, (distances, index) in found.neighbours.items():
        side = gen if question.side == "gen" else ref
        np.testing.assert_allclose(distances, np.sqrt(own_distances(side)[:, : question.k]), rtol=1e-14)
        gathered = np.take_along_axis(all_distances(side, side), index.numpy(), axis=1)
        np.testing.assert_allclose(distances, np.sqrt(gathered), rtol=1e-14)
        assert all(len(set(row)) == question.k and number not in row for number, row in enumerate(index.tolist()))
    cross = np.sqrt(all_distances(gen, ref))
    cosines = unit(gen) @ unit(ref).T
    for question, (distances, index) in found.nearest.items():
        table = {"euclidean": cross, "cosine": 1 - cosines, "absolute cosine": 1 - abs(cosines)}[question.measure]
        table = table if question.side == "gen" else table.T
        np.testing.assert_allclose(
            distances, table.min(axis=1), rtol=1e-14, atol=5e-15 * (question.measure != "euclidean")
        )
        np.testing.assert_allclose(table[np.arange(len(index)), index], distances, rtol=1e-14, atol=5e-15)
    radii = np.sqrt(own_distances(ref)[:, 2])
    kept = (radii < np.median(radii)) & (radii > 0)
    with np.errstate(divide="ignore"):
        score = (radii[kept] / cross[:, kept]).max(axis=1, initial=0.0)
    np.testing.assert_allclose(found.realism[Realism(3)], score, rtol=1e-13)


def test_plain_float32_would_not_do() -> None:
    """The comparison above can fail: what float32 products without the mean taken off give is another number."""
    gen, ref = offset(1e4)
    norms = [side.square().sum(dim=1) for side in (gen, ref)]
    distances = (norms[0][:, None] + norms[1] - 2 * gen @ ref.T).numpy()
    wrong = (distances <= own_distances(ref)[:, 2]).sum(axis=1)
    assert wrong.tolist() != expect_balls(Balls("ref", 3, True), gen, ref)[0].tolist()


def test_decisions_within_the_bounds_alone_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples placed next to the surface of a ball, nearer than float32 tells: float64 finds their side."""
    ref = sample(1, 60, 512, 5.0)
    radius = np.sqrt(own_distances(ref)[0, 2])
    directions = sample(2, 200, 512).numpy().astype(np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    apart = radius * (1 + np.random.default_rng(3).uniform(-1e-7, 1e-7, (200, 1)))
    gen = torch.from_numpy((ref[0].numpy().astype(np.float64) + apart * directions).astype(np.float32))
    question = Balls("ref", 3, True)
    around, inside = expect_balls(question, gen, ref)
    assert 50 < inside[0] < 150
    found = answer([question], gen, ref).balls[question]
    assert found.around.tolist() == around.tolist()
    assert found.inside.tolist() == inside.tolist()
    monkeypatch.setattr(
        neighbour_spaces.Distances, "slack", lambda self, i, j: torch.zeros(i.shape, dtype=torch.float64)
    )
    assert answer([question], gen, ref).balls[question].inside.tolist() != inside.tolist()


@pytest.mark.parametrize("name", ["plain", "offset-10000", "far-outliers", "huge", "tiny"])
def test_bounds_hold(name: str) -> None:
    gen, ref = SETS[name]()
    frame = neighbour_spaces.common_frame(Rows.of(gen), Rows.of(ref), torch.device("cpu"))
    space = neighbour_spaces.Distances(frame.points(gen), frame.points(ref), frame.scale)
    rows, columns = torch.arange(len(gen)), torch.arange(len(ref))
    lower = space.tile(slice(None), slice(None)).double().numpy()
    upper = lower + space.slack(rows[:, None], columns[None]).numpy()
    true = all_distances(gen, ref) * frame.scale
    assert (lower <= true).all()
    assert (true <= upper).all()


def test_a_coarser_product_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that rounds factors to TF32 gets wider bounds and gives the same."""
    gen, ref = offset(0.0)
    expected = answer(QUESTIONS, gen, ref)
    assert neighbour_spaces._rounding_of_inputs(torch.device("cpu")) == 0.0
    monkeypatch.setattr(neighbour_spaces, "_rounding_of_inputs", lambda device: 2.0**-10)
    real = torch.addmm

    def rounded(base, a, b, *, alpha):
        return real(base, (a.view(torch.int32) & -8192).view(torch.float32), b, alpha=alpha)

    monkeypatch.setattr(torch, "addmm", rounded)
    found = answer(QUESTIONS, gen, ref)
    for question, counts in expected.balls.items():
        assert torch.equal(found.balls[question].around, counts.around)
    for question, (distances, index) in expected.neighbours.items():
        assert torch.equal(found.neighbours[question][0], distances)
        assert torch.equal(found.neighbours[question][1], index)


def test_self_distances_are_zero() -> None:
    """Of a set against itself every nearest distance is 0; torch.cdist's product form gives up to 0.15."""
    rows = sample(0, 200, 2048, 5.0)
    assert float(torch.cdist(rows, rows).diagonal().max()) > 0.05
    found = answer([NearestOther("gen")], rows, rows.clone()).nearest[NearestOther("gen")]
    assert found[0].tolist() == [0.0] * 200
    assert found[1].tolist() == list(range(200))


def test_norms_beyond_half_precision() -> None:
    """Squared norms about 240: in half precision, ADM's evaluator's, few values are left; ours are all told apart."""
    scale = np.sqrt(240 / 2048)
    gen, ref = sample(0, 300, 2048, 0.0, scale), sample(1, 300, 2048, 0.0, scale)
    question = Balls("ref", 3, True)
    around, _ = expect_balls(question, gen, ref)
    assert answer([question], gen, ref).balls[question].around.tolist() == around.tolist()
    halves = (gen.square().sum(1)[:, None] + ref.square().sum(1) - 2 * gen @ ref.T).to(torch.float16)
    assert len(halves.unique()) < 1000


def test_questions_share_their_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is asked, a tile between the sets is made once, and those below the diagonal never."""
    made = []
    real = neighbour_spaces.Distances.tile

    def tile(self, rows, columns):
        made.append(self.same)
        return real(self, rows, columns)

    monkeypatch.setattr(neighbour_spaces.Distances, "tile", tile)
    gen, ref = offset(0.0)
    answer(QUESTIONS, gen, ref, tile_bytes=16 * 40**2)
    assert made.count(False) == 3 * 2
    assert made.count(True) == 6 + 3


def test_tiles_keep_to_their_memory() -> None:
    assert neighbour_pass._TILE_BYTES["cpu"] == neighbour_pass._BYTES_PER_PAIR * 1024**2


@pytest.mark.parametrize("limit", [1, 50, 10**6])
def test_pairs_are_told_apart_a_part_at_a_time(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nearly every sample is in nearly every ball."""
    gen, ref = 0.01 * sample(0, 90, 4), sample(1, 80, 4)
    monkeypatch.setattr(neighbour_balls, "_PAIRS_AT_ONCE", limit)
    counted = []
    real = neighbour_balls.BallCounter._count
    monkeypatch.setattr(
        neighbour_balls.BallCounter,
        "_count",
        lambda self, i, j, lower: counted.append(len(i)) or real(self, i, j, lower),
    )
    question = Balls("ref", 70, True)
    around, inside = expect_balls(question, gen, ref)
    found = answer([question], gen, ref).balls[question]
    assert found.around.tolist() == around.tolist()
    assert found.inside.tolist() == inside.tolist()
    assert sum(counted) >= inside.sum() > 5000
    assert max(counted) <= max(limit, 80)


@pytest.mark.gpu
@pytest.mark.parametrize("name", SETS)
def test_cuda_equals_the_cpu(name: str) -> None:
    gen, ref = SETS[name]()
    expected = answer(QUESTIONS, gen, ref)
    found = answer(QUESTIONS, gen, ref, torch.device("cuda"))
    for question, counts in expected.balls.items():
        assert torch.equal(found.balls[question].around, counts.around)
        assert torch.equal(found.balls[question].inside, counts.inside)
    for question, (distances, _) in {**expected.neighbours, **expected.nearest}.items():
        other = {**found.neighbours, **found.nearest}[question][0]
        torch.testing.assert_close(other, distances, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.realism[Realism(3)], expected.realism[Realism(3)], rtol=1e-12, atol=0)


class _SwitchesSeen(TorchDispatchMode):
    """Records at each product of float32 what the process's switches say, and whether it came out in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[object, ...]] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm) and result.dtype != torch.float64:
            backends = torch.backends
            self.seen.add((backends.cuda.matmul.fp32_precision, backends.mkldnn.matmul.fp32_precision, result.dtype))
        return result


@pytest.mark.parametrize("chosen", ["tf32", "bf16"])
def test_tiles_are_float32_whatever_the_process_has_chosen(chosen: str) -> None:
    """Not only where a small product tells of it: large ones can take another way through the processor."""
    switches = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [switch.fp32_precision for switch in switches]
    gen, ref = SETS["copies"]()
    expected = answer(QUESTIONS, gen, ref)
    try:
        switches[0].fp32_precision = "tf32"
        switches[1].fp32_precision = chosen
        with _SwitchesSeen() as modes, torch.autocast("cpu", dtype=torch.bfloat16):
            found = answer(QUESTIONS, gen, ref)
        assert modes.seen == {("ieee", "ieee", torch.float32)}
        assert [switch.fp32_precision for switch in switches] == ["tf32", chosen]
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value
    for question, counts in expected.balls.items():
        assert torch.equal(found.balls[question].around, counts.around)
