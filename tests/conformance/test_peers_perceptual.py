"""Path lengths against torch-fidelity 0.4.0, on one seeded random VGG16 and the packaged LPIPS heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import genmetrics as gm
from genmetrics.extractors.published import file_in_package
from support.peers import import_peer
from support.weights import random_state_dict, vgg16_shapes

fidelity = import_peer("torch_fidelity")
similarity = import_peer("torch_fidelity.sample_similarity_lpips")
metric_ppl = import_peer("torch_fidelity.metric_ppl")

NUM_SAMPLES, Z_SIZE = 12, 6
#: Of two images that differ by a ten-thousandth of a step float32 keeps three to four digits, on either side.
TOLERANCE = 5e-4
LPIPS = "lpips-vgg16.v0.1"


class Painter(nn.Module):
    """Images that change smoothly with the noise, on the scale that is asked for."""

    def __init__(self, num_classes: int, uint8: bool) -> None:
        super().__init__()
        rng = np.random.default_rng(3)
        self.weight = nn.Parameter(torch.from_numpy(rng.normal(0, 0.5, (Z_SIZE, 3 * 24 * 24)).astype(np.float32)))
        self.uint8, self.num_classes = uint8, num_classes

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        images = torch.tanh(z @ self.weight).view(-1, 3, 24, 24) * 100 + 120
        if labels is not None:
            images = images - 4 * labels[:, None, None, None]
        return images.round().to(torch.uint8) if self.uint8 else images


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trunk") / "vgg16.pth"
    torch.save(random_state_dict(vgg16_shapes(classifier=False)), path)
    return path


@pytest.fixture
def peer(trunk: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, float]]:
    """torch-fidelity's own function on our trunk; NumPy no longer has its percentiles' argument."""
    heads = file_in_package("lpips", "weights/v0.1/vgg.pth")
    assert heads is not None
    features = import_peer("torchvision.models.vgg").vgg16().features
    features.load_state_dict({key.removeprefix("features."): v for key, v in torch.load(trunk).items()})
    holder = type("Trunk", (), {"features": features})
    monkeypatch.setattr(similarity, "torchvision_load_pretrained_vgg16", holder)
    monkeypatch.setattr(similarity, "load_state_dict_from_url", lambda *_, **__: torch.load(heads, map_location="cpu"))
    percentile = np.percentile

    def old_percentile(values: np.ndarray, at: float, interpolation: str) -> float:
        return percentile(values, at, method=interpolation)

    def ppl(painter: Painter, **options: object) -> dict[str, float]:
        wrapped = fidelity.GenerativeModelModuleWrapper(
            painter, Z_SIZE, options.pop("z_type", "normal"), painter.num_classes
        )
        with monkeypatch.context() as patch:
            patch.setattr(metric_ppl.np, "percentile", old_percentile)
            return metric_ppl.calculate_ppl(
                1,
                input1=wrapped,
                input1_model_num_samples=NUM_SAMPLES,
                input1_model_num_classes=painter.num_classes,
                batch_size=10,
                cuda=False,
                verbose=False,
                **options,
            )

    return ppl


def ours(painter: Painter, name: str, trunk: Path, **options: object) -> gm.MetricResult:
    source = gm.GeneratorSource(
        painter,
        z_size=Z_SIZE,
        num_samples=NUM_SAMPLES,
        num_classes=painter.num_classes,
        value_range=None if painter.uint8 else (0, 255),
        **options,  # type: ignore[arg-type]
    )
    report = gm.evaluate(source, None, [name], weights={LPIPS: trunk}, batch_size=7)
    return report[name]


@pytest.mark.parametrize("num_classes", [0, 5])
def test_float_images(peer, trunk, num_classes):
    painter = Painter(num_classes, uint8=False)
    expected = peer(painter, ppl_sample_similarity_dtype="float32")
    found = ours(painter, "ppl", trunk)
    error = abs(found.value / expected["perceptual_path_length_mean"] - 1)
    print("ppl", found.value, expected, error)
    assert error <= TOLERANCE
    assert found.extra["std"] == pytest.approx(expected["perceptual_path_length_std"], rel=TOLERANCE)
    # Negative control: another seed, whose steps are others.
    other = peer(painter, ppl_sample_similarity_dtype="float32", rng_seed=7)["perceptual_path_length_mean"]
    assert abs(found.value / other - 1) > 10 * TOLERANCE


@pytest.mark.parametrize("z_type", ["normal", "unit"])
def test_its_default_through_uint8(peer, trunk, z_type):
    painter = Painter(0, uint8=True)
    expected = peer(painter, z_type=z_type)["perceptual_path_length_mean"]
    found = ours(painter, "ppl_torch_fidelity", trunk, z_type=z_type).value
    print("ppl_torch_fidelity", found, expected, abs(found / expected - 1))
    assert found == pytest.approx(expected, rel=TOLERANCE)


def test_uint8_is_another_number(peer, trunk):
    """What is measured through uint8 is the rounding: far from the length of the path."""
    floats = ours(Painter(0, uint8=False), "ppl", trunk).value
    rounded = ours(Painter(0, uint8=True), "ppl_torch_fidelity", trunk).value
    print("float32", floats, "uint8", rounded)
    assert rounded > 3 * floats
