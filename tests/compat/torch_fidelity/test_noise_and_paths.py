"""Noise, interpolations and registries against torch-fidelity 0.4.0's own.

Noise is bit-equal but for ``unit``, which torch-fidelity draws from one orthant; interpolations are within 1e-6.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.compat.torch_fidelity import noise, registry, utils
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.errors import UnknownNameError, UsageError
from support.peers import import_peer

peer = import_peer("torch_fidelity.noise")
peer_registry = import_peer("torch_fidelity.registry")

REGISTRIES = [
    "DATASETS_REGISTRY",
    "FEATURE_EXTRACTORS_REGISTRY",
    "INTERPOLATION_REGISTRY",
    "NOISE_SOURCE_REGISTRY",
    "SAMPLE_SIMILARITY_REGISTRY",
]


@pytest.fixture(autouse=True)
def _empty_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten; the registries stay the same objects, which other modules hold."""
    for name in REGISTRIES:
        held = getattr(registry, name)
        for key in held:
            monkeypatch.setitem(held, key, held[key])
    before = {name: set(getattr(registry, name)) for name in REGISTRIES}
    yield
    for name in REGISTRIES:
        held = getattr(registry, name)
        for key in set(held) - before[name]:
            del held[key]


@pytest.mark.parametrize("name", ["normal", "uniform_0_1"])
def test_noise(name):
    ours = utils.sample_random(np.random.RandomState(3), (5, 7), name)
    theirs = peer_registry.NOISE_SOURCE_REGISTRY[name](np.random.RandomState(3), (5, 7))
    assert ours.dtype == torch.float32 and torch.equal(ours, theirs)


def test_unit_noise_covers_the_sphere():
    found = noise.random_unit(np.random.RandomState(0), (4000, 3))
    theirs = peer.random_unit(np.random.RandomState(0), (4000, 3))
    for values in (found, theirs):
        assert torch.allclose(values.norm(dim=1), torch.ones(4000), atol=1e-6)
    # Uniform on the sphere: mean 0, and each coordinate uniform in -1..1 (Archimedes); theirs is of one orthant.
    assert float(found.mean(dim=0).abs().max()) < 0.03
    assert float((found.sort(dim=0).values - torch.linspace(-1, 1, 4000)[:, None]).abs().max()) < 0.05
    assert float(theirs.min()) >= 0 and float(theirs.mean(dim=0).min()) > 0.4


@pytest.mark.parametrize("name", ["lerp", "slerp_any", "slerp_unit"])
@pytest.mark.parametrize("t", [0.0, 1e-4, 0.3, 1.0])
def test_interpolation(name, t):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 8, 5, generator=generator)
    a[1], b[2], b[3], b[4] = 0, 0, 2 * a[3], -a[4]  # zero, parallel and opposite vectors have no arc
    found = utils.batch_interp(a, b, t, name)
    expected = peer_registry.INTERPOLATION_REGISTRY[name](a, b, t)
    assert float((found - expected).abs().max()) <= 1e-6
    assert bool(torch.isfinite(found).all())
    if 0 < t < 1 and name == "slerp_any":
        assert float((found - noise.batch_lerp(a, b, t)).abs().max()) > 1e-6


class Extractor(FeatureExtractorBase):
    pass


class Similarity(SampleSimilarityBase):
    pass


REGISTER = {
    "dataset": (registry.register_dataset, lambda root, download: None, "a function of root and download"),
    "feature extractor": (registry.register_feature_extractor, Extractor, "a subclass of FeatureExtractorBase"),
    "sample similarity": (registry.register_sample_similarity, Similarity, "a subclass of SampleSimilarityBase"),
    "noise source": (registry.register_noise_source, lambda rng, shape: None, "a function of rng and shape"),
    "interpolation": (registry.register_interpolation, lambda a, b, t: None, "a function of a, b and t"),
}


@pytest.mark.parametrize("kind", REGISTER)
class TestRegistering:
    def test_once(self, kind):
        register, entry, _ = REGISTER[kind]
        register("mine", entry)
        held = getattr(registry, next(name for name in REGISTRIES if kind.split()[0].upper() in name))
        assert held["mine"] is entry
        with pytest.raises(ValueError, match=f"{kind} 'mine' is registered already; choose another name"):
            register("mine", entry)

    @pytest.mark.parametrize("name", ["a/b", " a", "a ", "a\\b", ""])
    def test_names(self, kind, name):
        register, entry, _ = REGISTER[kind]
        with pytest.raises(ValueError, match=f"a {kind} cannot be named"):
            register(name, entry)

    def test_other_things(self, kind):
        register, _, expected = REGISTER[kind]
        unchecked = getattr(register, "__wrapped__", register)  # as a user calls it, without the tests' own checks
        with pytest.raises(ValueError, match=f"{kind} 'mine' is 3; expected {expected}"):
            unchecked("mine", 3)


@pytest.mark.parametrize("name", REGISTRIES)
def test_built_in_names_are_the_originals(name):
    ours, theirs = set(getattr(registry, name)), set(getattr(peer_registry, name))
    assert theirs - ours == ({f"clip-rn{tag}" for tag in ("50", "101", "50x4", "50x16", "50x64")} & theirs)
    assert ours <= theirs


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (registry.feature_extractor, "feature extractor 'nromal' is not registered; .*register_feature_extractor adds"),
        (registry.sample_similarity, "sample similarity 'nromal' is not registered; known: lpips-vgg16"),
        (registry.noise_source, "noise source 'nromal' is not registered; did you mean 'normal'"),
        (registry.interpolation, "interpolation 'nromal' is not registered; known: lerp, slerp_any, slerp_unit"),
    ],
)
def test_unknown_names(find, message):
    with pytest.raises(UnknownNameError, match=message):
        find("nromal")


def test_a_name_that_is_absent_may_be_registered():
    with pytest.raises(UsageError, match="residual network of CLIP"):
        registry.feature_extractor("clip-rn50")
    registry.register_feature_extractor("clip-rn50", Extractor)
    assert registry.feature_extractor("clip-rn50") is Extractor


def test_a_noise_source_that_gives_something_else():
    registry.register_noise_source("flat", lambda rng, shape: torch.zeros(shape[0]))
    with pytest.raises(UsageError, match=r"gave float32 \(4,\); expected float32 \(4, 3\)"):
        utils.sample_random(np.random.RandomState(0), (4, 3), "flat")
