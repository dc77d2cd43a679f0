"""Path lengths: the steps, float images by default, and what a generator must give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import genmetrics as gm
from genmetrics.engine.evaluator import Evaluator
from genmetrics.engine.paths import steps
from genmetrics.errors import SourceError, UsageError
from genmetrics.metrics.perceptual import kept_lengths
from genmetrics.sources.noise import NoiseSpec
from support.pair_nets import gap, registered_pair_networks

EPSILON = 1e-4


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_pair_networks():
        yield


class Painter(torch.nn.Module):
    """Images of four numbers and perhaps a label, in float64 so that small steps are told apart."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = torch.nn.Parameter(torch.from_numpy(rng.normal(0, 0.4, (4, 3 * size * size))))
        self.size = size

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        images = torch.tanh(z.double() @ self.weight).view(-1, 3, self.size, self.size)
        return images if labels is None else images * (1 + labels[:, None, None, None]) / 8


def source(**options: object) -> gm.GeneratorSource:
    return gm.GeneratorSource(Painter(), **{"z_size": 4, "num_samples": 50, "value_range": (-1, 1)} | options)  # type: ignore[arg-type]


def by_hand(num_classes: int = 0, quantised: bool = False) -> np.ndarray:
    rng = np.random.RandomState(2020)
    start = torch.from_numpy(rng.randn(50, 4)).float()
    end = start + (torch.from_numpy(rng.randn(50, 4)).float() - start) * EPSILON
    labels = (torch.from_numpy(rng.randint(0, num_classes, (50,))),) if num_classes else ()
    with torch.no_grad():
        sides = [Painter()(z, *labels) for z in (start, end)]
    if quantised:
        sides = [(side * 127.5 + 128).floor().clamp(0, 255) / 127.5 - 1 for side in sides]
    sides = [F.interpolate(side.float(), (64, 64), mode="bilinear") for side in sides]
    lengths = gap(*sides).double().numpy() / EPSILON**2
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return lengths[(lengths >= low) & (lengths <= high)]


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}])
def test_is_the_mean_of_the_lengths(options) -> None:
    result = gm.evaluate(source(), None, ["gaps_ppl"], **options)["gaps_ppl"]
    expected = by_hand()
    assert result.value == pytest.approx(expected.mean(), rel=1e-4)
    assert result.extra["std"] == pytest.approx(expected.std(), rel=1e-4)
    assert result.extra["num_steps"] == 50


@pytest.mark.parametrize("num", [3, 20])
def test_as_many_steps_as_images_are_asked_for(num) -> None:
    result = gm.evaluate(source(), None, ["gaps_ppl"], num=num)["gaps_ppl"]
    assert result.extra["num_steps"] == num
    assert result.value == gm.evaluate(source(num_samples=num), None, ["gaps_ppl"])["gaps_ppl"].value


class Noisy(Painter):
    """Adds noise of its own, which torch's generator draws."""

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        images = super().forward(z, labels)
        return images + 0.1 * torch.randn(images.shape)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_what_a_generator_draws_itself_does_not_depend_on_the_batch(batch_size) -> None:
    noisy = gm.GeneratorSource(Noisy(), z_size=4, num_samples=30, value_range=(-1, 1), batch_size=8)
    value = gm.evaluate(noisy, None, ["gaps_ppl"], batch_size=batch_size)["gaps_ppl"].value
    assert value == pytest.approx(gm.evaluate(noisy, None, ["gaps_ppl"])["gaps_ppl"].value, rel=1e-6)


GENERATORS = """
import numpy as np
import torch


class Painter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = torch.nn.Parameter(torch.from_numpy(rng.normal(0, 0.4, (4, 3 * 8 * 8))))

    def forward(self, z):
        return torch.tanh(z.double() @ self.weight).view(-1, 3, 8, 8)


def module():
    return Painter()


def source():
    import genmetrics as gm

    return gm.GeneratorSource(Painter(), z_size=4, num_samples=50, value_range=(-1, 1))


def images():
    return torch.zeros(5, 3, 8, 8, dtype=torch.uint8)
"""


@pytest.mark.parametrize("options", [{}, {"labels": "none"}])
@pytest.mark.parametrize("made", ["module?z_size=4&num_samples=50&value_range=-1,1", "source"])
def test_a_function_makes_the_generator(made, options, tmp_path) -> None:
    (tmp_path / "painters.py").write_text(GENERATORS)
    result = gm.evaluate(f"python:{tmp_path}/painters.py:{made}", None, ["gaps_ppl"], **options)["gaps_ppl"]
    assert result.value == gm.evaluate(source(), None, ["gaps_ppl"])["gaps_ppl"].value
    assert result.extra["num_steps"] == 50


def test_no_image_is_generated_beside_the_steps(monkeypatch) -> None:
    painter = Painter()
    generated = []
    painter.register_forward_hook(lambda module, inputs, output: generated.append(len(output)))
    generator = gm.GeneratorSource(painter, z_size=4, num_samples=30, value_range=(-1, 1), probe=False)
    report = gm.evaluate(generator, None, ["gaps_ppl"])
    assert sum(generated) == 60
    assert (report.gen.num_samples, report.gen.digest) == (30, None)


def test_labels_are_those_of_the_draw() -> None:
    result = gm.evaluate(source(num_classes=7), None, ["gaps_ppl"])["gaps_ppl"]
    assert result.value == pytest.approx(by_hand(7).mean(), rel=1e-4)
    assert result.value != pytest.approx(by_hand().mean(), rel=1e-2)


def test_uint8_measures_rounding() -> None:
    """The step is a fraction of a grey level: what comes out is another number altogether."""
    result = gm.evaluate(source(), None, ["gaps_ppl", "gaps_ppl_torch_fidelity"])
    assert result["gaps_ppl_torch_fidelity"].value == pytest.approx(by_hand(quantised=True).mean(), rel=1e-4)
    assert abs(result["gaps_ppl_torch_fidelity"].value - result["gaps_ppl"].value) > 0.5 * result["gaps_ppl"].value


def test_a_flat_generator_has_no_length() -> None:
    flat = gm.GeneratorSource(lambda z: torch.zeros(len(z), 3, 8, 8), z_size=4, num_samples=9, value_range=(0, 1))
    assert gm.evaluate(flat, None, ["gaps_ppl"])["gaps_ppl"].value == 0


def test_other_metrics_come_from_the_same_run() -> None:
    both = gm.evaluate(source(), None, ["gaps_lpips", "gaps_ppl"])
    assert both["gaps_ppl"].value == gm.evaluate(source(), None, ["gaps_ppl"])["gaps_ppl"].value
    assert both["gaps_lpips"].value == gm.evaluate(source(), None, ["gaps_lpips"])["gaps_lpips"].value


@pytest.mark.parametrize(("size", "mode"), [(80, "area"), (64, None)])
def test_large_images_are_averaged_to_size(size, mode) -> None:
    painter = Painter(size)
    result = gm.evaluate(gm.GeneratorSource(painter, z_size=4, num_samples=6, value_range=(-1, 1)), None, ["gaps_ppl"])[
        "gaps_ppl"
    ]
    start, end, _ = steps(NoiseSpec((4,)), 6, EPSILON, 2020, False)
    with torch.no_grad():
        sides = [painter(z).float() for z in (start, end)]
    if mode:
        sides = [F.interpolate(side, (64, 64), mode=mode) for side in sides]
    lengths = kept_lengths(gap(*sides).double() / EPSILON**2, 1.0, 99.0)
    assert result.value == pytest.approx(float(lengths.mean()), rel=1e-4)


def test_unit_noise_covers_the_sphere_but_for_torch_fidelity() -> None:
    spec = NoiseSpec((4,), "unit")
    ours, _, _ = steps(spec, 100, EPSILON, 0, False)
    theirs, _, _ = steps(spec, 100, EPSILON, 0, True)
    assert torch.allclose(ours.norm(dim=1), torch.ones(100)) and float(ours.min()) < 0
    assert torch.allclose(theirs.norm(dim=1), torch.ones(100)) and float(theirs.min()) > 0


def test_noise_of_a_function() -> None:
    spec = NoiseSpec((4,), lambda rng, shape: torch.from_numpy(rng.gamma(2.0, size=shape)), draw="torch-fidelity")
    start, end, _ = steps(spec, 9, EPSILON, 3, True)
    rng = np.random.RandomState(3)
    first, second = (torch.from_numpy(rng.gamma(2.0, size=(9, 4))).float() for _ in range(2))
    assert torch.equal(start, first) and torch.equal(end, first + (second - first) * EPSILON)


class TestErrors:
    def test_a_crop_of_what_is_not_cropped(self) -> None:
        with pytest.raises(UsageError, match=r"'gaps_ppl\.square-8' compares images as the generator gives them"):
            gm.evaluate(source(), None, ["gaps_ppl"], crop="square-8")

    def test_images_that_no_generator_makes(self, image_folder) -> None:
        with pytest.raises(UsageError, match="is a folder, and a path length is of a generator: give a model file"):
            gm.evaluate(image_folder(3, 8, 8, 0), None, ["gaps_ppl"])

    def test_a_function_that_makes_images(self, tmp_path) -> None:
        (tmp_path / "painters.py").write_text(GENERATORS)
        with pytest.raises(
            UsageError, match=r"is an array, and a path length is of a generator: .*'python:file.py:make"
        ):
            gm.evaluate(f"python:{tmp_path}/painters.py:images", None, ["gaps_ppl"])

    def test_uint8_generator(self) -> None:
        def paint(z: torch.Tensor) -> torch.Tensor:
            return (z[:, :3, None, None].expand(-1, 3, 8, 8) * 20 + 128).clamp(0, 255).to(torch.uint8)

        generator = gm.GeneratorSource(paint, z_size=4, num_samples=9)
        with pytest.raises(UsageError, match=r"gives uint8 images, in which so small a step is lost.*ppl_torch_fid"):
            gm.evaluate(generator, None, ["gaps_ppl"])
        assert gm.evaluate(generator, None, ["gaps_ppl_torch_fidelity"])["gaps_ppl_torch_fidelity"].value >= 0

    def test_values_that_are_none(self) -> None:
        def paint(z: torch.Tensor) -> torch.Tensor:
            return torch.where(z[:, :3, None, None].expand(-1, 3, 8, 8) > 9, 0, torch.nan)

        with pytest.raises(SourceError, match="NaN"):
            gm.evaluate(
                gm.GeneratorSource(paint, z_size=4, num_samples=9, value_range=(0, 1), probe=False), None, ["gaps_ppl"]
            )

    def test_a_training_loop(self) -> None:
        with pytest.raises(UsageError, match="'gaps_ppl' is of the generator itself"):
            Evaluator(metrics=["gaps_ppl"])
