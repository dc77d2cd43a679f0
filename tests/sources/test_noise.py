from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from genmetrics.errors import UsageError
from genmetrics.sources.noise import NoiseSampler, NoiseSpec, check_seed, draws
from support.peers import import_peer


def everything(
    spec: NoiseSpec, seed: int, wanted: Sequence[int], num_samples: int = 1000
) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(draws(spec, seed, wanted, num_samples))
    assert [position for batch in batches for position in batch.positions] == list(wanted)
    assert all(len(batch.positions) <= spec.batch_size for batch in batches)
    noise = torch.cat([batch.noise for batch in batches])
    labels = [batch.labels for batch in batches if batch.labels is not None]
    return noise, torch.cat(labels) if labels else torch.empty(0)


@pytest.mark.parametrize("z_type", ["normal", "unit", "uniform"])
def test_a_sample_depends_on_its_index_and_the_seed_alone(z_type: str) -> None:
    spec = {size: NoiseSpec((5,), z_type, 10, batch_size=size) for size in (1, 7, 64)}  # type: ignore[arg-type]
    noise, labels = everything(spec[64], 3, range(100))

    for size, wanted in ((1, range(100)), (7, range(100)), (7, range(31, 60)), (64, (2, 5, 99))):
        some, some_labels = everything(spec[size], 3, wanted)
        assert torch.equal(some, noise[list(wanted)])
        assert torch.equal(some_labels, labels[list(wanted)])
    other, other_labels = everything(spec[64], 4, range(100))
    assert not torch.equal(other, noise)
    assert not torch.equal(other_labels, labels)
    assert len({tuple(row) for row in noise.tolist()}) == 100


def test_the_streams_are_the_documented_ones() -> None:
    noise, labels = everything(NoiseSpec((4,), "normal", 10), 7, (0, 12))

    for row, index in enumerate((0, 12)):
        drawn = np.random.Generator(np.random.Philox(key=7, counter=[0, index, 0, 0])).standard_normal(4)
        assert noise[row].tolist() == drawn.astype(np.float32).tolist()
        label = np.random.Generator(np.random.Philox(key=7, counter=[0, index, 1, 0])).integers(10)
        assert labels[row] == label


def test_distributions() -> None:
    normal, _ = everything(NoiseSpec((4,)), 0, range(20_000))
    assert normal.mean(0).abs().max() < 0.04
    assert (normal.std(0) - 1).abs().max() < 0.02
    uniform, _ = everything(NoiseSpec((4,), "uniform"), 0, range(20_000))
    assert uniform.min() >= 0
    assert uniform.max() <= 1
    assert (uniform.mean(0) - 0.5).abs().max() < 0.01
    assert (uniform.var(0) - 1 / 12).abs().max() < 0.002


def test_unit_noise_is_uniform_on_the_whole_sphere() -> None:
    noise, _ = everything(NoiseSpec((3,), "unit"), 0, range(16_000))

    assert (noise.norm(dim=1) - 1).abs().max() < 1e-6
    orthants = torch.bincount(((noise > 0) * torch.tensor([1, 2, 4])).sum(1), minlength=8)
    assert orthants.min() > 1800  # 2000 each
    # Archimedes: each coordinate of the sphere in three dimensions is uniform in -1..1.
    assert (noise.var(0) - 1 / 3).abs().max() < 0.01
    assert (noise.pow(4).mean(0) - 1 / 5).abs().max() < 0.01


def test_a_shape_as_size() -> None:
    noise, _ = everything(NoiseSpec((4, 2, 3), "unit"), 0, range(5))
    flat, _ = everything(NoiseSpec((24,), "unit"), 0, range(5))

    assert noise.shape == (5, 4, 2, 3)
    assert torch.equal(noise.flatten(1), flat)
    assert noise.dtype == torch.float32


def test_labels() -> None:
    _, drawn = everything(NoiseSpec((1,), num_classes=4), 0, range(8000))
    _, balanced = everything(NoiseSpec((1,), num_classes=4, labels="balanced"), 0, range(3, 12))

    assert drawn.dtype == torch.int64
    assert torch.bincount(drawn).tolist() == pytest.approx([2000] * 4, abs=150)
    assert balanced.tolist() == [3, 0, 1, 2, 3, 0, 1, 2, 3]


class TestTorchFidelity:
    """Against what torch-fidelity's own loop gives to a generator."""

    @staticmethod
    def theirs(noise_type: str, classes: int, batch_size: int, num_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
        utils = import_peer("torch_fidelity.utils")
        base = import_peer("torch_fidelity.generative_model_base").GenerativeModelBase
        extractor_base = import_peer("torch_fidelity.feature_extractor_base").FeatureExtractorBase
        seen: list[tuple[torch.Tensor, ...]] = []

        class Recorder(base):  # type: ignore[misc, valid-type]
            z_size, z_type, num_classes = 5, noise_type, classes

            def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
                seen.append(inputs)
                return torch.zeros(len(inputs[0]), 1)

        class Nothing(extractor_base):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                torch.nn.Module.__init__(self)

            def get_provided_features_list(self) -> tuple[str, ...]:
                return ("x",)

            def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
                return (images,)

            def convert_features_tuple_to_dict(self, features: tuple[torch.Tensor]) -> dict[str, torch.Tensor]:
                return {"x": features[0]}

        # Conditional generators fail there on the numpy of today, for want of this name.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(np, "int", np.int64, raising=False)
            utils.get_featuresdict_from_generative_model(
                Recorder(), Nothing(), num_samples, batch_size, cuda=False, rng_seed=2020, verbose=False
            )
        labels = torch.cat([inputs[1] for inputs in seen]) if classes else torch.empty(0)
        return torch.cat([inputs[0] for inputs in seen]), labels

    @pytest.mark.parametrize("batch_size", [64, 7])
    @pytest.mark.parametrize("classes", [0, 10])
    @pytest.mark.parametrize(("ours", "theirs"), [("normal", "normal"), ("unit", "unit"), ("uniform", "uniform_0_1")])
    def test_bit_for_bit(self, ours: str, theirs: str, classes: int, batch_size: int) -> None:
        spec = NoiseSpec((5,), ours, classes, draw="torch-fidelity", batch_size=batch_size)  # type: ignore[arg-type]
        noise, labels = self.theirs(theirs, classes, batch_size, 100)

        got, got_labels = everything(spec, 2020, range(100), 100)
        assert torch.equal(got, noise)
        assert torch.equal(got_labels, labels)
        # A share of them is a share of the same draws.
        some, some_labels = everything(spec, 2020, (3, 50, 77), 100)
        assert torch.equal(some, noise[[3, 50, 77]])
        assert torch.equal(some_labels, labels[[3, 50, 77]] if classes else labels)

    def test_its_unit_noise_is_kept_with_its_fault(self) -> None:
        noise, _ = everything(NoiseSpec((3,), "unit", draw="torch-fidelity"), 0, range(100))
        assert noise.min() > 0

    def test_the_default_is_another_stream(self) -> None:
        noise, _ = everything(NoiseSpec((5,)), 2020, range(100))
        assert not torch.equal(noise, self.theirs("normal", 0, 64, 100)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"z_type": "gauss"},
            "z_type is 'gauss', expected one of normal, unit, uniform; torch-fidelity's 'uniform_0_1'",
        ),
        ({"labels": "even"}, "labels is 'even', expected one of uniform, balanced"),
        ({"draw": "numpy"}, "draw is 'numpy', expected one of per-sample, torch-fidelity"),
        ({"z_size": ()}, "z_size is (), expected a number such as 128, or a shape such as (4, 64, 64)"),
        ({"z_size": (4, 0)}, "z_size is (4, 0), expected"),
        ({"num_classes": -1}, "num_classes is -1, expected 0 (no labels) or more"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"labels": "balanced"}, "labels='balanced' was given without num_classes"),
        ({"labels": "balanced", "num_classes": 2, "draw": "torch-fidelity"}, "does not go with draw='torch-fidelity'"),
        ({"z_size": (2, 2), "draw": "torch-fidelity"}, "takes a number as z_size, not the shape (2, 2)"),
    ],
)
def test_what_cannot_be_meant(options: dict, message: str) -> None:
    # Not by the checked constructor, which enforces the types of these texts in tests.
    spec = object.__new__(NoiseSpec)
    defaults = {"z_size": (4,), "z_type": "normal", "num_classes": 0, "labels": "uniform", "draw": "per-sample"}
    for name, value in ({**defaults, "batch_size": 64} | options).items():
        object.__setattr__(spec, name, value)
    with pytest.raises(UsageError) as caught:
        spec.__post_init__()
    assert message in str(caught.value)


def test_seeds() -> None:
    check_seed(2**64 - 1, "per-sample")
    check_seed(2**32 - 1, "torch-fidelity")
    for seed, draw in ((-1, "per-sample"), (2**64, "per-sample"), (2**32, "torch-fidelity")):
        with pytest.raises(UsageError, match=f"seed is {seed}, expected 0 to"):
            check_seed(seed, draw)  # type: ignore[arg-type]
    assert math.isfinite(everything(NoiseSpec((1,)), 2**64 - 1, range(2))[0].sum())


def gamma(stream: np.random.RandomState, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(stream.gamma(2.0, size=shape))


def test_a_function_draws_from_the_stream_of_torch_fidelity() -> None:
    spec = NoiseSpec((3,), gamma, num_classes=4, draw="torch-fidelity", batch_size=5)
    noise, labels = everything(spec, 8, range(7), num_samples=7)
    stream = np.random.RandomState(8)
    for rows in (slice(0, 5), slice(5, 7)):
        size = rows.stop - rows.start
        assert torch.equal(noise[rows], torch.from_numpy(stream.gamma(2.0, size=(size, 3))).float())
        assert labels[rows].tolist() == stream.randint(0, 4, size=size).tolist()
    some, _ = everything(spec, 8, (2, 6), num_samples=7)
    assert torch.equal(some, noise[[2, 6]])


def test_a_function_needs_that_stream() -> None:
    with pytest.raises(UsageError, match=r"a function as z_type .*; give draw='torch-fidelity' too"):
        NoiseSpec((3,), gamma)


@pytest.mark.parametrize(
    ("sampler", "given"),
    [
        (lambda _, shape: torch.zeros(shape[0]), r"float32 \(5,\)"),
        (lambda _, shape: torch.zeros(shape, dtype=torch.int64), r"int64 \(5, 3\)"),
    ],
)
def test_a_function_that_gives_something_else(sampler: NoiseSampler, given: str) -> None:
    spec = NoiseSpec((3,), sampler, draw="torch-fidelity", batch_size=5)
    with pytest.raises(UsageError, match=rf"the function that draws the noise gave {given}; expected float32 \(5, 3\)"):
        next(draws(spec, 0, range(5), 5))
