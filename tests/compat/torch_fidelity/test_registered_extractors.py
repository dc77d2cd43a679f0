"""Feature extractors by their registered names on our engine, against torch-fidelity 0.4.0 with the same classes.

Tolerance: of a user's extractor, whose features are the same numbers, 1e-5 relative, for torch-fidelity computes in
float32.
Reached with torch 2.13.0 on a CPU: FID 5e-8, KID 1.1e-6, the Inception Score 2e-16, precision and recall 2e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import genmetrics as gm
from genmetrics.compat.torch_fidelity import adapters, feature_extractor_inceptionv3, registry, wrapped
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from support.peers import import_peer

peer = import_peer("torch_fidelity")
peer_registry = import_peer("torch_fidelity.registry")

LAYERS = ("colours", "classes")
MIX = torch.randn(27, 7, generator=torch.Generator().manual_seed(5)) / 3


def body(images: Tensor, layers: Any) -> tuple[Tensor, ...]:
    """Features that tell sets apart, of images of any size."""
    assert images.dtype == torch.uint8
    pooled = torch.nn.functional.adaptive_avg_pool2d(images.float() / 64, 3).flatten(1)
    found = {"colours": pooled, "classes": (pooled - 2) @ MIX.to(images.device)}
    return tuple(found[layer] for layer in layers)


def make(base: type) -> type:
    class Own(base):
        """As the documentation of torch-fidelity has one written."""

        made: ClassVar[list[dict[str, Any]]] = []

        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)
            self.weight = torch.nn.Parameter(torch.ones(1), requires_grad=False)
            Own.made.append(kwargs)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return LAYERS

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return {"isc": "classes", "fid": "colours", "kid": "colours", "prc": "colours"}[metric]

        @staticmethod
        def can_be_compiled() -> bool:
            return True

        def forward(self, input: Tensor) -> tuple[Tensor, ...]:
            return body(input, self.features_list)

    return Own


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    ours = make(FeatureExtractorBase)
    monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "own", ours)
    monkeypatch.setitem(peer_registry.FEATURE_EXTRACTORS_REGISTRY, "own", make(peer.FeatureExtractorBase))
    yield ours
    wrapped._WRAPPED.clear()


class Images(Dataset):
    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


@pytest.fixture(scope="module")
def sets(smooth_images: Callable[..., np.ndarray]) -> tuple[Images, Images]:
    return Images(smooth_images(60, 20, 17, seed=1, warmth=1.0)), Images(smooth_images(50, 20, 17, seed=2))


def evaluate(network: adapters.Network, sets: tuple[Any, Any], layers: dict[str, str], **options: Any) -> gm.Report:
    metrics = []
    for name, layer in layers.items():
        metric = network.metric(METRICS.get(name), layer)
        settings = (("num_subsets", 10), ("subset_size", 20)) if name == "kid" else metric.settings
        metrics.append(replace(metric, id=name, settings=settings))
    first, second = (adapters.source_of(one, slot=slot) for one, slot in zip(sets, ("input1", "input2"), strict=True))
    return gm.evaluate(first, second, metrics, weights=network.weights_option or None, workers=0, **options)


def test_every_metric_of_a_users_class(sets):
    network = adapters.extractor_of("own", LAYERS, example=adapters.source_of(sets[0]), settings={"fid": True})
    assert network == adapters.Network("torch-fidelity:own", "native-255", {layer: layer for layer in LAYERS}, None)
    layers = {metric: adapters.default_layer("own", metric) for metric in ("isc", "fid", "kid", "prc")}
    found = evaluate(network, sets, layers)
    theirs = peer.calculate_metrics(
        input1=sets[0], input2=sets[1], feature_extractor="own", isc=True, fid=True, kid=True, prc=True,
        kid_subsets=10, kid_subset_size=20, cuda=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    expected = {
        "isc": ("inception_score_mean", found["isc"].value),
        "isc_std": ("inception_score_std", found["isc"].extra["std"]),
        "fid": ("frechet_inception_distance", found["fid"].value),
        "kid": ("kernel_inception_distance_mean", found["kid"].value),
        "kid_std": ("kernel_inception_distance_std", found["kid"].extra["std"]),
        "precision": ("precision", found["prc"].extra["precision"]),
        "recall": ("recall", found["prc"].extra["recall"]),
    }
    errors = {name: abs(value - theirs[key]) / abs(theirs[key]) for name, (key, value) in expected.items()}
    print(errors)
    assert max(errors.values()) < 1e-5
    assert found["fid"].value > 0.1 and 0 < found["prc"].extra["precision"] < 1
    # Negative control: the other layer gives another distance.
    other = evaluate(network, sets, {"fid": "classes"})
    assert abs(other["fid"].value / found["fid"].value - 1) > 0.1


def test_what_a_class_is_made_with(own, sets, tmp_path):
    # What is so anyway is not given: a class that gives its own to its base would give it twice.
    settings = {
        "input1": "a",
        "fid": True,
        "kid": False,
        "cuda": True,
        "batch_size": 3,
        "rng_seed": 2020,
        "input2": None,
    }
    network = adapters.extractor_of("own", ["colours"], weights_path=tmp_path / "w.pth", settings=settings)
    assert own.made == [
        {"input1": "a", "fid": True, "batch_size": 3, "feature_extractor_weights_path": str(tmp_path / "w.pth")}
    ]
    evaluate(network, sets, {"fid": "colours"})
    assert len(own.made) == 1  # the one that was tried is the one that runs
    evaluate(network, sets, {"fid": "colours"})
    assert len(own.made) == 2
    assert adapters.extractor_of("own", ["colours"], internal_dtype="float64").extractor == "torch-fidelity:own.float64"
    assert own.made[2] == {"feature_extractor_internal_dtype": "float64"}


def test_images_of_several_sizes(sets, smooth_images):
    images = [*Images(smooth_images(5, 9, 30, seed=3)).images, *sets[0].images[:5]]
    network = adapters.extractor_of("own", ["colours"])
    stats = gm.compute_stats(images, [network.metric(METRICS.get("fid"), "colours")], workers=0)
    [moments] = stats.accumulators.values()
    expected = torch.cat([body(image[None], ["colours"])[0] for image in images]).double().mean(dim=0)
    assert float((moments.mean() - expected).abs().max()) < 1e-6


class TestExample:
    """What the widths of features are found with."""

    @pytest.fixture
    def flat(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
        """An extractor that takes images of 4x5 alone."""
        seen: list[tuple[int, ...]] = []

        class Flat(FeatureExtractorBase):
            get_provided_features_list = staticmethod(lambda: ("pixels",))

            def forward(self, input: Tensor) -> tuple[Tensor, ...]:
                seen.append(tuple(input.shape))
                return (input.reshape(len(input), 60).float(),)

        monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "flat", Flat)
        return seen

    def width(self, **given: Any) -> int:
        return EXTRACTORS.get(adapters.extractor_of("flat", ["pixels"], **given).extractor).features["pixels"]

    def test_of_a_source(self, flat):
        images = torch.zeros(3, 3, 4, 5, dtype=torch.uint8)
        assert self.width(example=adapters.source_of(torch.utils.data.TensorDataset(images))) == 60
        assert self.width(example=images) == 60
        assert self.width(example=images.permute(0, 2, 3, 1).numpy()) == 60
        assert flat == [(1, 3, 4, 5)] * 3

    def test_of_statistics_there_is_none(self, flat, tmp_path):
        np.savez(tmp_path / "ref.npz", mu=np.zeros(4), sigma=np.eye(4))
        with pytest.raises(UsageError, match=r"'flat' failed on images uint8 \(1, 3, 299, 299\)"):
            self.width(example=str(tmp_path / "ref.npz"))

    def test_of_a_generator(self, flat):
        class Model(GenerativeModelBase):
            z_size, z_type, num_classes = 2, "normal", 0
            calls = 0

            def forward(self, z: Tensor) -> Tensor:
                Model.calls += 1
                return torch.zeros(len(z), 3, 4, 5, dtype=torch.uint8)

        source = adapters.source_of(Model(), model_num_samples=6, batch_size=3)
        assert self.width(example=source) == 60
        gm.compute_stats(source, [replace(METRICS.get("fid"), id="f", extractor="torch-fidelity:flat",
                                          feature="pixels", preprocess="native-255")], workers=0)  # fmt: skip
        assert Model.calls == 2

    def test_without_one(self, flat):
        with pytest.raises(UsageError, match=r"'flat' failed on images uint8 \(1, 3, 299, 299\) on cpu: RuntimeError"):
            adapters.extractor_of("flat", ["pixels"])


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda x: (x.float(),), r"'odd' gave \(1, 3, 299, 299\) as 'a' of 1 images; expected \(n, d\)"),
        (lambda x: x.float().mean(dim=(2, 3)), r"'odd' gave a Tensor; expected a tuple of the 1 features 'a'"),
        (lambda x: ("a",), r"'odd' gave a str as 'a'"),
        (lambda x: 1 / 0, "'odd' failed on images .*: ZeroDivisionError"),
    ],
)
def test_what_is_no_feature(gives, message, monkeypatch):
    class Odd(FeatureExtractorBase):
        get_provided_features_list = staticmethod(lambda: ("a",))

        def forward(self, input: Tensor) -> Any:
            return gives(input)

    monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "odd", Odd)
    with pytest.raises(UsageError, match=message):
        adapters.extractor_of("odd", ["a"])


def test_compiled(own, monkeypatch):
    """The module itself is compiled, so that it is the compiled one that runs."""
    asked = []

    def compile_it(self: torch.nn.Module) -> None:
        asked.append(self)

    monkeypatch.setattr(own, "compile", compile_it)
    adapters.extractor_of("own", ["colours"], settings={"feature_extractor_compile": True})
    assert len(asked) == 1
    monkeypatch.setattr(own, "can_be_compiled", staticmethod(lambda: False))
    adapters.extractor_of("own", ["colours"], settings={"feature_extractor_compile": True})
    assert len(asked) == 1


class TestBuiltIn:
    def test_names(self, tmp_path):
        inception = adapters.extractor_of("inception-v3-compat", ["2048", "logits_unbiased"], weights_path="w.pth")
        assert inception == adapters.Network(
            "inception-v3.tf2015",
            "tf1-bilinear-299",
            {"2048": "2048", "logits_unbiased": "logits_unbiased"},
            Path("w.pth"),
        )
        assert inception.weights_option == {"inception-v3.tf2015": Path("w.pth")}
        # The published protocols are what they are everywhere.
        for metric, layer in (("fid", "2048"), ("kid", "2048"), ("isc", "logits_unbiased")):
            assert inception.metric(METRICS.get(metric), layer) == METRICS.get(metric)
        other = inception.metric(METRICS.get("kid"), "logits_unbiased")
        assert other.id == "kid.inception-v3.tf2015.logits_unbiased" and other.feature == "logits_unbiased"
        vgg16 = adapters.extractor_of("vgg16", ["fc2_relu"])
        assert vgg16.metric(METRICS.get("prc"), "fc2_relu") == METRICS.get("prc") and vgg16.weights_option == {}

    @pytest.mark.parametrize("name", registry.FEATURE_EXTRACTORS_REGISTRY)
    def test_each_is_one_of_ours(self, name):
        if name == "own":
            pytest.skip("the class of these tests' own; nothing runs it here")
        layers = registry.feature_extractor(name).get_provided_features_list()
        network = adapters.extractor_of(name, layers)
        info = EXTRACTORS.get(network.extractor)
        assert tuple(network.features) == layers and set(network.features.values()) <= set(info.features)
        assert network.preprocess.startswith("tf1-bilinear-")
        for metric in ("isc", "fid", "kid", "prc", "mind"):
            assert adapters.default_layer(name, metric) in layers

    def test_defaults(self):
        names = {metric: adapters.default_extractor(metric) for metric in ("isc", "fid", "kid", "mind", "prc")}
        assert set(names.values()) == {"inception-v3-compat", "vgg16"} and names.pop("prc") == "vgg16"
        with pytest.raises(UsageError, match="no metric of features is called 'ppl'"):
            adapters.default_extractor("ppl")

    def test_float64(self, inception_weights, smooth_images):
        """Float64 really is float64: as near to float32 as that rounds, and what the class itself gives."""
        network = adapters.extractor_of(
            "inception-v3-compat", ["64"], weights_path=inception_weights, internal_dtype="float64"
        )
        assert network.extractor == "torch-fidelity:inception-v3-compat.float64" and network.weights is None
        images = Images(smooth_images(3, 30, 30, seed=0)).images
        exact = evaluate_mean(network, images, "64")
        made = feature_extractor_inceptionv3.FeatureExtractorInceptionV3("x", ["64"], str(inception_weights), "float64")
        assert torch.equal(exact, made(images)[0].double().mean(dim=0))
        single = adapters.extractor_of("inception-v3-compat", ["64"], weights_path=inception_weights)
        rounded = evaluate_mean(single, images, "64")
        assert 0 < float((exact - rounded).norm() / exact.norm()) < 1e-5

    def test_our_own_extractors_by_their_ids(self):
        name = "efficientnet-lite0.in1k"
        network = adapters.extractor_of(name, ["1280"])
        assert network == adapters.Network(name, "crop875-bicubic-224", {"1280": "1280"}, None)
        assert adapters.default_layer(name, "isc") == "logits" and adapters.default_layer(name, "fid") == "1280"
        with pytest.raises(UsageError, match=r"'efficientnet-lite0.in1k' computes in float32 alone; leave out"):
            adapters.extractor_of(name, ["1280"], internal_dtype="float64")
        with pytest.raises(UsageError, match=r"'efficientnet-lite0.in1k' has no output '2048'; its outputs: 1280"):
            adapters.extractor_of(name, ["2048"])
        with pytest.raises(
            UsageError, match=r"'dinov2-vits14.lvd142m' names no layer for 'isc'; give feature_layer_isc"
        ):
            adapters.default_layer("dinov2-vits14.lvd142m", "isc")


def evaluate_mean(network: adapters.Network, images: Tensor, layer: str) -> Tensor:
    metric = network.metric(METRICS.get("fid"), layer)
    stats = gm.compute_stats(images, [metric], weights=network.weights_option or None, backend="reference", workers=0)
    [moments] = stats.accumulators.values()
    return moments.mean()


class TestErrors:
    def test_names(self):
        with pytest.raises(
            UnknownNameError, match=r"'inception-v3' is not registered; did you mean 'inception-v3-compat'"
        ):
            adapters.extractor_of("inception-v3", ["2048"])
        with pytest.raises(UsageError, match=r"'clip-rn50' is a residual network of CLIP"):
            adapters.extractor_of("clip-rn50", ["clip"])

    def test_layers(self):
        with pytest.raises(UsageError, match=r"'vgg16' has no feature 'fc3'; it provides: 'fc2', 'fc2_relu'"):
            adapters.extractor_of("vgg16", ["fc3"])
        with pytest.raises(UsageError, match=r"'own' has no feature 'fc3'; it provides: 'colours', 'classes'"):
            adapters.extractor_of("own", ["fc3"])
        with pytest.raises(UsageError, match=r"'own' names no layer for 'mind'; give feature_layer_mind"):
            adapters.default_layer("own", "mind")

    def test_types(self):
        with pytest.raises(UsageError, match=r"is 'float16'; expected 'float32' .the default. or 'float64'"):
            adapters.extractor_of("vgg16", ["fc2"], internal_dtype="float16")

    def test_an_id_of_another_process(self):
        with pytest.raises(UnknownNameError, match=r"'torch-fidelity:elsewhere' is a class that was registered with"):
            EXTRACTORS.get("torch-fidelity:elsewhere")

    def test_weights_for_a_wrapped_one(self, sets, tmp_path):
        network = adapters.extractor_of("own", ["colours"])
        given = replace(network, weights=tmp_path / "w.pth")
        with pytest.raises(
            UsageError, match=r"'torch-fidelity:own' loads its own weights; give feature_extractor_weights"
        ):
            evaluate(given, sets, {"fid": "colours"})
