"""What every extractor promises, over the whole registry. A new one is tested as soon as it is registered."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.preprocess.spec import PREPROCESS
from genmetrics.types import ExtractorInfo


@pytest.fixture(params=EXTRACTORS, scope="module")
def extractor(request: pytest.FixtureRequest, inception_weights: Path) -> Extractor:
    """Each extractor, with seeded random weights where its own are not in a package."""
    weights = inception_weights if request.param == "inception-v3.tf2015" else None
    return load_extractor(request.param, weights)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Six images that differ in colour and structure."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:96, :80]
    waves = [[128 + 90 * np.sin(rows * a + columns * b) for a, b in rng.uniform(-1, 1, (3, 2))] for _ in range(6)]
    pixels = np.array(waves) + rng.normal(0, 10, (6, 3, 96, 80))
    return torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def outputs(extractor: Extractor, images: torch.Tensor) -> dict[str, torch.Tensor]:
    return extractor(images, tuple(extractor.features))


@pytest.mark.parametrize("info", EXTRACTORS.entries(), ids=lambda info: info.id)
def test_description_is_consistent(info: ExtractorInfo) -> None:
    assert re.fullmatch(r"[a-z0-9-]+\.[a-z0-9]+", info.id), "an id is architecture.tag"
    assert info.pool in info.features
    assert info.logits is None or info.logits in info.features
    assert info.preprocess in PREPROCESS
    assert info.summary and info.licence
    assert all(width > 0 for width in info.features.values())


def test_built_extractor_agrees_with_its_description(extractor: Extractor) -> None:
    info = EXTRACTORS.get(extractor.id)
    assert extractor.info == info
    assert dict(extractor.features) == dict(info.features)
    assert extractor.preprocess.id == info.preprocess
    assert re.fullmatch(r"[0-9a-f]{64}", extractor.weights_sha256)
    assert extractor.precision == "exact"


def test_network_is_for_evaluation_only(extractor: Extractor) -> None:
    assert not any(module.training for module in extractor.network.modules())
    assert not any(parameter.requires_grad for parameter in extractor.network.parameters())


def test_outputs_have_the_declared_widths(extractor: Extractor, outputs: dict[str, torch.Tensor]) -> None:
    assert outputs.keys() == extractor.features.keys()
    for name, width in extractor.features.items():
        assert outputs[name].shape == (6, width), name
        assert outputs[name].dtype == torch.float32, name
        assert not outputs[name].requires_grad, name
        assert bool(torch.isfinite(outputs[name]).all()), name


def test_different_images_have_different_features(outputs: dict[str, torch.Tensor]) -> None:
    """Negative control of the comparisons below: their tolerance is far inside these differences."""
    for name, values in outputs.items():
        distance = torch.cdist(values, values) + torch.diag(torch.full((6,), torch.inf))
        assert float(distance.min()) > 1e-2 * float(values.norm(dim=1).mean()), name


def test_only_what_is_wanted_comes(extractor: Extractor, images: torch.Tensor, outputs) -> None:
    for name in extractor.features:
        alone = extractor(images[:1], [name])
        assert list(alone) == [name]
        assert float((alone[name] - outputs[name][:1]).norm() / outputs[name][:1].norm()) < 1e-5, name


def test_pairs_come_in_the_order_asked_for(extractor: Extractor, images: torch.Tensor) -> None:
    names = list(extractor.features)
    assert list(extractor(images[:1], [names[-1], names[0]])) == [names[-1], names[0]]


def test_other_images_of_the_batch_do_not_matter(extractor: Extractor, images: torch.Tensor, outputs) -> None:
    inputs = extractor.preprocess(images)
    names = tuple(extractor.features)
    for part in (slice(0, 1), slice(1, 6)):
        features = extractor.run(inputs[part], names)
        for name in names:
            difference = (features[name] - outputs[name][part]).norm(dim=1)
            assert float((difference / outputs[name][part].norm(dim=1)).max()) < 1e-5, name


def test_same_images_give_the_same_bits(extractor: Extractor, images: torch.Tensor) -> None:
    first, second = (extractor(images[:2], tuple(extractor.features)) for _ in range(2))
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_own_preprocessing_comes_first(extractor: Extractor, images: torch.Tensor) -> None:
    pool = extractor.info.pool
    through_call = extractor(images[:2], [pool])[pool]
    by_hand = extractor.run(extractor.preprocess(images[:2]), [pool])[pool]
    assert torch.equal(through_call, by_hand)


def test_unknown_output(extractor: Extractor, images: torch.Tensor) -> None:
    listed = re.escape(", ".join(extractor.features))
    with pytest.raises(
        UsageError, match=rf"^extractor '{re.escape(extractor.id)}' has no output '512'; its outputs: {listed}$"
    ):
        extractor(images, [extractor.info.pool, "512"])


def test_precision_switches_of_the_process_are_put_back(extractor: Extractor, images: torch.Tensor) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        extractor(images[:1], [extractor.info.pool])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_lower_precision_is_float32_outside_and_near(extractor: Extractor, images: torch.Tensor, outputs) -> None:
    pool = extractor.info.pool
    extractor.to(torch.device("cpu"), "bf16")
    try:
        values = extractor(images[:2], [pool])[pool]
    finally:
        extractor.to(torch.device("cpu"), "exact")
    assert values.dtype == torch.float32
    error = float((values - outputs[pool][:2]).norm() / outputs[pool][:2].norm())
    # It took effect, and it is still the same network.
    assert 1e-4 < error < 0.2


def test_autocast_around_does_not_reach_inside(extractor: Extractor, images: torch.Tensor, outputs) -> None:
    pool = extractor.info.pool
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = extractor(images[:2], [pool])[pool]
    torch.testing.assert_close(values, outputs[pool][:2], rtol=1e-4, atol=1e-5)
