from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

import genmetrics as gm
from genmetrics.errors import DeviceError, SourceError, UsageError
from genmetrics.sources.base import SeededSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.noise import NoiseSpec, draws
from genmetrics.types import Shard
from sources.helpers import Collected


class Net(nn.Module):
    """Float images in -1..1, of each sample's own noise and label."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = nn.Parameter(torch.from_numpy(rng.normal(0, 1, (5, 3 * 8 * 6)).astype(np.float32)))
        self.norm = nn.BatchNorm1d(5)
        self.drop = nn.Dropout(0.5)
        self.colours = nn.Embedding(classes, 3) if classes else None
        self.calls: list[tuple[int, bool]] = []

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        self.calls.append((len(z), torch.is_grad_enabled()))
        images = torch.tanh(self.drop(self.norm(z)) @ self.weight).view(-1, 3, 8, 6)
        if self.colours is not None:
            images = images * 0.5 + labels[:, None, None, None] / 20
        return images


def whole(net: Net, spec: NoiseSpec, seed: int, number: int) -> np.ndarray:
    """All images at once, by what the documents say."""
    [drawn] = draws(spec, seed, range(number), number)
    with torch.no_grad():
        images = net.eval()(*(part for part in (drawn.noise, drawn.labels) if part is not None))
    return (images * 127.5 + 128).floor().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


OPTIONS = {"z_size": 5, "num_samples": 23, "value_range": (-1, 1)}


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("draw", ["per-sample", "torch-fidelity"])
@pytest.mark.parametrize(("shards", "batch_size"), [(1, 64), (1, 7), (3, 4), (30, 4)])
def test_every_image(shards: int, batch_size: int, draw: str, classes: int, collect: Callable[..., Collected]) -> None:
    net = Net(classes)
    expected = whole(net, NoiseSpec((5,), "normal", classes, "uniform", draw), 3, 23)  # type: ignore[arg-type]
    own = 64 if draw == "torch-fidelity" else batch_size  # whose labels depend on the batches
    source = GeneratorSource(net, **OPTIONS, num_classes=classes, draw=draw, seed=3, batch_size=own)  # type: ignore[arg-type]
    images: dict[int, np.ndarray] = {}
    labels: dict[int, int] = {}
    for shard in range(shards):
        got = collect(source, Shard(shard, shards), batch_size=batch_size, workers=shard % 2)
        images |= got.images
        labels |= got.labels

    assert len(source) == 23
    # One level, for a matrix product of another batch size may differ in its last bit.
    stacked = np.stack([images[index] for index in range(23)]).astype(int)
    np.testing.assert_allclose(stacked, expected, atol=1)
    assert (stacked != expected).mean() < 0.01
    assert len(labels) == (23 if classes else 0)
    assert len({image.tobytes() for image in images.values()}) == 23


def test_a_selection(collect: Callable[..., Collected]) -> None:
    source = GeneratorSource(Net(), **OPTIONS, seed=3)
    all_of_them = collect(source).images

    some = collect(source, selection=(2, 9, 22)).images
    for row, position in enumerate((2, 9, 22)):
        np.testing.assert_allclose(some[row].astype(int), all_of_them[position], atol=1)


def test_the_module_is_left_as_it_was(collect: Callable[..., Collected]) -> None:
    net = Net().train()
    net.norm.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()

    source = GeneratorSource(net, **OPTIONS, seed=3, batch_size=8)
    batches = source.batches(Shard(), gm.sources.base.BatchSpec(batch_size=8))  # type: ignore[attr-defined]
    next(batches)
    modes = [net.training, net.norm.training, net.drop.training]  # also between two batches

    assert modes == [True, False, True]
    list(batches)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [number for number, _ in net.calls] == [1, 8, 8, 7]
    assert not any(with_grad for _, with_grad in net.calls)


def test_seeds(collect: Callable[..., Collected]) -> None:
    free = GeneratorSource(Net(), **OPTIONS)
    own = GeneratorSource(Net(), **OPTIONS, seed=5)

    assert isinstance(free, SeededSource)
    with pytest.raises(
        UsageError, match=r"generator 'Net, 23 samples' has no seed; give seed=…, or read source.seeded"
    ):
        collect(free)
    first, second, again = (collect(free.seeded(seed)).images[0].tolist() for seed in (5, 6, 5))
    assert first == again != second
    assert own.seeded(9) is own
    assert collect(own).images[0].tolist() == first
    with pytest.raises(UsageError, match="seed is -1"):
        GeneratorSource(Net(), **OPTIONS, seed=-1)


def test_what_the_generator_draws_itself_is_repeatable(collect: Callable[..., Collected]) -> None:
    def noisy(z: torch.Tensor) -> torch.Tensor:
        return torch.rand(len(z), 3, 4, 4)

    options = {**OPTIONS, "value_range": (0, 1)}
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(runs))
        runs.append(collect(GeneratorSource(noisy, **options, seed=seed, batch_size=10)).images)

    assert all(np.array_equal(runs[0][index], runs[1][index]) for index in range(23))
    assert not np.array_equal(runs[0][0], runs[2][0])
    assert not np.array_equal(runs[0][0], runs[0][10])


def test_grey_uint8_and_functions(collect: Callable[..., Collected]) -> None:
    def grey(z: torch.Tensor) -> torch.Tensor:
        return (z[:, :1, None, None] * 50 + 128).clamp(0, 255).to(torch.uint8).expand(-1, 1, 3, 2)

    got = collect(GeneratorSource(grey, z_size=5, num_samples=4, seed=0))
    assert got.images[0].shape == (3, 2, 3)
    assert len(np.unique(got.images[0])) == 1


def test_shapes_as_noise(collect: Callable[..., Collected]) -> None:
    source = GeneratorSource(torch.sigmoid, z_size=(3, 4, 4), num_samples=3, seed=0, value_range=(0, 1))
    assert collect(source).images[2].shape == (4, 4, 3)


def test_clipped_values_are_noted_of_a_pass(collect: Callable[..., Collected]) -> None:
    def bright(z: torch.Tensor) -> torch.Tensor:
        return torch.full((len(z), 3, 2, 2), 1.05)

    source = GeneratorSource(bright, **OPTIONS).seeded(0)
    assert source.notes == ()
    collect(source)
    assert source.notes[0].startswith("276 values of 23 of 23 images lay outside -1..1 and were clipped")


def test_clipped_values_of_a_share_are_told_as_such(collect: Callable[..., Collected]) -> None:
    """The notes of several processes are listed together, and each is true beside the other."""
    source = GeneratorSource(lambda z: torch.full((len(z), 3, 2, 2), 1.05), **OPTIONS).seeded(0)
    notes = []
    for index in range(2):
        collect(source, Shard(index, 2))
        notes += source.notes

    assert [note.partition(" and were")[0] for note in notes] == [
        "in share 0/2: 132 values of 11 of 11 images lay outside -1..1",
        "in share 1/2: 144 values of 12 of 12 images lay outside -1..1",
    ]


def test_code_has_no_digest() -> None:
    found = GeneratorSource(Net(), **OPTIONS, seed=3).fingerprint()
    assert (found.kind, found.description, found.digest) == ("generator", "Net, 23 samples", None)


def give(value: object) -> Callable[[torch.Tensor], object]:
    return lambda z: value


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            torch.zeros(1, 8, 6, 3),
            "generator 'function, 23 samples', called with z (1, 5), gave float32 (1, 8, 6, 3), expected a tensor "
            "(1, 3, h, w) or (1, 1, h, w); its channels seem to come last: let it return `x.permute(0, 3, 1, 2)`",
        ),
        (torch.zeros(3, 8, 6), "gave float32 (3, 8, 6), expected a tensor (1, 3, h, w)"),
        (torch.zeros(2, 3, 8, 6), "gave float32 (2, 3, 8, 6), expected a tensor (1, 3, h, w)"),
        ({"sample": 0}, "gave a dict, expected a tensor (1, 3, h, w) or (1, 1, h, w); wrap it in a function"),
        (torch.zeros(1, 3, 8, 6, dtype=torch.int64), "sample 0 of the generator is int64, expected uint8 0..255"),
        (torch.full((1, 3, 8, 6), 200.0), "sample 0 of the generator: its values run from 200 to 200, most of them"),
    ],
)
def test_a_wrong_output_is_an_error_at_once(made: object, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        GeneratorSource(give(made), **OPTIONS)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_ranges_are_stated(collect: Callable[..., Collected]) -> None:
    with pytest.raises(
        SourceError, match="sample 0 of the generator is float32, and the range of its values is not kn"
    ):
        GeneratorSource(Net(), z_size=5, num_samples=2)
    with pytest.raises(UsageError, match=r"value_range=\(-1, 1\) was given, and sample 0 of the generator is uint8"):
        GeneratorSource(give(torch.zeros(1, 3, 4, 4, dtype=torch.uint8)), **OPTIONS)  # type: ignore[arg-type]


def test_without_a_probe_the_first_batch_is_checked(collect: Callable[..., Collected]) -> None:
    net = Net()
    source = GeneratorSource(net, z_size=4, num_samples=9, value_range=(-1, 1), seed=0, probe=False)
    assert net.calls == []
    with pytest.raises(SourceError) as caught:
        collect(source)
    assert re.match(
        r"generator 'Net, 9 samples' failed when it was called with z \(9, 4\) on cpu: RuntimeError: ",
        str(caught.value),
    )
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0, expected at least 1"),
        ({"z_size": 0}, r"z_size is \(0,\), expected a number such as 128"),
        ({"value_range": (0, 3)}, r"value_range is \(0, 3\), expected"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_cannot_be_meant(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GeneratorSource(Net(), **{**OPTIONS, **options})


def test_a_device_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device; a machine without one runs this")
    with pytest.raises(
        DeviceError, match=r"the generator's device is 'cuda', which this machine does not have .*'cpu'"
    ):
        GeneratorSource(Net(), **OPTIONS, device="cuda")
    with pytest.raises(DeviceError, match="the generator's device is 'gpu'"):
        GeneratorSource(Net(), **OPTIONS, device="gpu")


def test_the_public_name() -> None:
    assert gm.GeneratorSource is GeneratorSource


def test_a_pass_of_an_iterator_of_batches(collect: Callable[..., Collected]) -> None:
    """A sampler without noise is an iterable of its batches."""

    def sampler() -> Iterator[torch.Tensor]:
        for _ in range(3):
            yield torch.zeros(4, 3, 8, 6)

    assert len(collect(gm.open_source(sampler(), value_range=(-1, 1))).images) == 12
