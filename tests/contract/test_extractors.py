"""What every extractor promises, over the whole registry. A new one is tested as soon as it is registered."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.preprocess.spec import PREPROCESS
from genmetrics.types import ExtractorInfo
from support.weights import (
    CLIP_SIZES,
    DINOV2_SIZES,
    alexnet_shapes,
    clip_hub_shapes,
    dinov2_hub_shapes,
    random_state_dict,
    vgg16_shapes,
)

PAIRS = [info.id for info in EXTRACTORS.entries() if info.pairs]
#: The same classes as a smaller one; tests/conformance compares their layouts with the published ones.
TOO_LARGE = re.compile(r"dinov2-vit[blg]14\..*|clip-vit-(b16|l14|l14-336)\..*")
SINGLE = [name for name in EXTRACTORS if name not in PAIRS and not TOO_LARGE.fullmatch(name)]


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """A file of seeded random weights for an extractor whose own are not in a package; None for one that has them."""
    folder = tmp_path_factory.mktemp("random-weights")
    made: dict[str, Path] = {}
    fixtures = {
        "inception-v3.tf2015": "inception_weights",
        "inception-v3.tv-in1k": "inception_torchvision_weights",
        "vgg16.tv-in1k": "vgg16_weights",
    }
    shapes = {
        "lpips-vgg16.v0.1": lambda: vgg16_shapes(classifier=False),
        "lpips-alex.v0.1": alexnet_shapes,
        "dinov2-vits14.lvd142m": lambda: dinov2_hub_shapes(*DINOV2_SIZES["dinov2-vits14.lvd142m"]),
        "clip-vit-b32.openai": lambda: clip_hub_shapes(*CLIP_SIZES["clip-vit-b32.openai"], text_depth=0),
    }

    def make(name: str) -> Path | None:
        if name in shapes and name not in made:
            made[name] = folder / f"{name}.pth"
            torch.save(random_state_dict(shapes[name]()), made[name])
        if name in fixtures:
            made[name] = request.getfixturevalue(fixtures[name])
        return made.get(name)

    return make


@pytest.fixture(params=SINGLE, scope="module")
def extractor(request: pytest.FixtureRequest, random_weights) -> Extractor:
    """Each extractor of single images that is not too large to be run here."""
    return load_extractor(request.param, random_weights(request.param))


@pytest.fixture(params=PAIRS, scope="module")
def pairs(request: pytest.FixtureRequest, random_weights) -> PairExtractor:
    """Each extractor of pairs of images."""
    if request.param.startswith("lpips") and importlib.util.find_spec("lpips") is None:
        pytest.skip("lpips is not installed; pip install 'genmetrics[perceptual]' runs it")
    extractor = load_extractor(request.param, random_weights(request.param))
    assert isinstance(extractor, PairExtractor)
    return extractor


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
    assert re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+(\.[0-9]+)?", info.id), "an id is architecture.tag"
    assert info.pool in info.features
    assert info.logits is None or info.logits in info.features
    assert info.preprocess in PREPROCESS
    assert info.summary and info.licence
    assert all(width > 0 for width in info.features.values())
    if info.pairs:
        assert dict(info.features) in ({"distance": 1}, {"similarity": 1})
        assert info.preprocess.startswith("native-")


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
    assert list(extractor(images[:1], [names[-1], names[0]])) == list(dict.fromkeys([names[-1], names[0]]))


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


@pytest.fixture(scope="module")
def first(pairs: PairExtractor) -> torch.Tensor:
    """Two images of the least size that each takes."""
    side = 170 if pairs.id == "ms-ssim.wang2003" else 48
    rows, columns = np.mgrid[:side, : side + 10]
    waves = [
        [128 + 90 * np.sin(rows * a + columns * b) for a, b in ((0.1, 0.2), (0.3, c), (c, 0.1))] for c in (0.1, 0.4)
    ]
    return pairs.preprocess(torch.from_numpy(np.array(waves).astype(np.uint8)))


@pytest.fixture(scope="module")
def second(first: torch.Tensor) -> torch.Tensor:
    """Each image but shifted a little."""
    return first.roll((2, 3), (2, 3))


class TestPairs:
    def test_one_number_of_each_pair(self, pairs, first, second) -> None:
        found = pairs.distances(first, second)
        assert found.shape == (2,) and found.dtype == torch.float32 and not found.requires_grad
        assert torch.equal(found, pairs.distances(first, second))

    def test_nothing_is_nearer_than_itself(self, pairs, first, second) -> None:
        same, other = pairs.distances(first, first), pairs.distances(first, second)
        if pairs.info.pool == "distance":
            assert torch.equal(same, torch.zeros(2)) and bool((other > 1e-4).all())
        else:
            torch.testing.assert_close(same, torch.ones(2), rtol=0, atol=1e-6)
            assert bool((other < 0.999).all())

    def test_it_is_symmetric(self, pairs, first, second) -> None:
        torch.testing.assert_close(pairs.distances(first, second), pairs.distances(second, first), rtol=1e-5, atol=1e-7)

    def test_other_pairs_of_the_batch_do_not_matter(self, pairs, first, second) -> None:
        alone = torch.cat([pairs.distances(first[i : i + 1], second[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(alone, pairs.distances(first, second), rtol=1e-5, atol=1e-7)

    def test_network_is_for_evaluation_only(self, pairs) -> None:
        assert not any(module.training for module in pairs.network.modules() if list(module.parameters()))
        assert not any(parameter.requires_grad for parameter in pairs.network.parameters())
        assert re.fullmatch(r"[0-9a-f]{64}", pairs.weights_sha256)

    def test_single_images_have_no_features(self, pairs, first) -> None:
        with pytest.raises(UsageError, match="compares pairs of images and has no features of single ones"):
            pairs.run(first, [pairs.info.pool])
