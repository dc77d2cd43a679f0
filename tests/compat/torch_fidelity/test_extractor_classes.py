"""The feature extractors of torch-fidelity's names against torch-fidelity 0.4.0's own, with the same random weights.

Tolerance: Inception-v3 and VGG16 bit-equal on a CPU, in float32 and in float64; CLIP and DINOv2 1e-5 relative
(Euclidean, per image). torch-fidelity maps ``float64`` to float32: it is made to compute in what it was asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genmetrics.compat.torch_fidelity import (
    feature_extractor_base,
    feature_extractor_clip,
    feature_extractor_dinov2,
    feature_extractor_inceptionv3,
    feature_extractor_vgg16,
    helpers,
    interpolate_compat_tensorflow,
)
from genmetrics.errors import UnknownNameError, UsageError, WeightsError
from support.openai_clip import openais_layout, save_archive
from support.peers import import_peer
from support.weights import CLIP_SIZES, DINOV2_SIZES, clip_hub_shapes, dinov2_hub_shapes, random_state_dict

peer_base = import_peer("torch_fidelity.feature_extractor_base")
peer_inception = import_peer("torch_fidelity.feature_extractor_inceptionv3")
peer_vgg16 = import_peer("torch_fidelity.feature_extractor_vgg16")
peer_clip = import_peer("torch_fidelity.feature_extractor_clip")
peer_dinov2 = import_peer("torch_fidelity.feature_extractor_dinov2")
peer_resize = import_peer("torch_fidelity.interpolate_compat_tensorflow")
torchvision_vgg = import_peer("torchvision.models.vgg")
timm = import_peer("timm")
pytest.importorskip(
    "transformers", reason="transformers is not installed; install it with pip install 'genmetrics[hf]'"
)

TOLERANCE = 1e-5
LAYERS = ["64", "192", "768", "2048", "logits_unbiased", "logits"]
#: What calculate_metrics gives to every extractor besides.
SETTINGS = {"input1": "somewhere", "fid": True, "verbose": False, "rng_seed": 7}


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    return torch.from_numpy(smooth_images(2, 60, 45, seed=0)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture
def honest_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity's extractors compute in float64 when they are asked to."""
    monkeypatch.setattr(peer_inception, "text_to_dtype", helpers.text_to_dtype)


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peers' networks with no weights of their own, which are replaced at once and take seconds to draw."""
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda _: None)
    monkeypatch.setattr(torch.nn.Conv2d, "reset_parameters", lambda _: None)
    monkeypatch.setattr(import_peer("torchvision.models"), "vgg16", lambda: torchvision_vgg.vgg16(init_weights=False))


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape and found.dtype == expected.dtype == torch.float32
    return float(((found - expected).double().norm(dim=1) / expected.double().norm(dim=1)).max())


def both(ours: type, theirs: type, name: str, layers: list[str], path: Path, dtype: str | None, images: Tensor):
    given = {"feature_extractor_weights_path": str(path), "feature_extractor_internal_dtype": dtype, **SETTINGS}
    found = ours(name, layers, **given)
    expected = theirs(name, layers, **given)
    with torch.no_grad():
        return found, expected, found(images), expected(images)


@pytest.mark.usefixtures("honest_float64", "without_drawing")
class TestInception:
    OURS = feature_extractor_inceptionv3.FeatureExtractorInceptionV3

    @pytest.mark.parametrize("dtype", [None, "float64"])
    def test_all_features(self, dtype, inception_weights, images):
        ours, theirs, found, expected = both(
            self.OURS, peer_inception.FeatureExtractorInceptionV3, "inception-v3-compat", LAYERS, inception_weights,
            dtype, images,
        )  # fmt: skip
        assert isinstance(found, tuple) and len(found) == len(LAYERS)
        for mine, other in zip(found, expected, strict=True):
            assert mine.dtype == torch.float32 and torch.equal(mine, other)
        assert ours.convert_features_tuple_to_dict(found).keys() == dict.fromkeys(LAYERS).keys()
        # A subclass or a script that looks inside finds the same.
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        assert ours.fc.weight.dtype == (torch.float64 if dtype else torch.float32)
        assert {name for name, _ in theirs.named_children()} <= {name for name, _ in ours.named_children()}
        assert not any(parameter.requires_grad for parameter in ours.parameters()) and not ours.training
        assert ours.INPUT_IMAGE_SIZE == theirs.INPUT_IMAGE_SIZE
        copied = copy.deepcopy(ours).to(torch.float64)
        assert copied._compute.fc.weight is copied.fc.weight and copied.fc.weight.dtype == torch.float64
        assert ours._compute.fc.weight is ours.fc.weight is not copied.fc.weight
        if dtype:
            exact = self.OURS("x", ["2048"], str(inception_weights))(images)[0]
            assert 1e-9 < relative(exact, found[3]) < TOLERANCE  # float64 is another number, by float32's rounding

    def test_order_is_that_of_the_list_and_may_be_a_tuple(self, inception_weights, images):
        network = self.OURS("x", ("2048", "64"), feature_extractor_weights_path=str(inception_weights))
        first, second = network(images)
        assert first.shape == (2, 2048) and second.shape == (2, 64)
        assert network.get_requested_features_list() == ("2048", "64") and network.get_name() == "x"

    def test_a_subclass_that_goes_through_the_layers(self, inception_weights, images):
        """As torchmetrics' does it, and those that are trained against: gradients go through the same layers."""

        def make(base: type, resize: Callable[..., Tensor]) -> torch.nn.Module:
            class Own(base):
                def __init__(self, name, features_list, **kwargs):
                    super().__init__(name, features_list, **kwargs)

                def forward(self, x):
                    x = (resize(x, size=(299, 299), align_corners=False) - 128) / 128
                    for layer in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"):
                        x = getattr(self, layer)(x)
                    for layer in ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2", "Mixed_5b", "Mixed_5c", "Mixed_5d"):
                        x = getattr(self, layer)(x)
                    for layer in ("a", "b", "c", "d", "e"):
                        x = getattr(self, f"Mixed_6{layer}")(x)
                    for layer in ("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"):
                        x = getattr(self, layer)(x)
                    return (x.flatten(1),)

            return Own("own", ["2048"], feature_extractor_weights_path=str(inception_weights), **SETTINGS)

        gradients = []
        for base, module in (
            (self.OURS, feature_extractor_inceptionv3),
            (peer_inception.FeatureExtractorInceptionV3, peer_inception),
        ):
            given = images[:1].float().requires_grad_()
            [features] = make(base, module.interpolate_bilinear_2d_like_tensorflow1x)(given)
            features.square().sum().backward()
            gradients.append((features.detach(), given.grad))
        assert torch.equal(gradients[0][0], gradients[1][0])
        assert float((gradients[0][1] - gradients[1][1]).norm() / gradients[1][1].norm()) <= TOLERANCE
        [whole] = self.OURS("x", ["2048"], feature_extractor_weights_path=str(inception_weights))(images[:1])
        assert torch.equal(gradients[0][0], whole)
        assert feature_extractor_inceptionv3.URL_INCEPTION_V3 == peer_inception.URL_INCEPTION_V3


def in_float64(*networks: torch.nn.Module) -> None:
    """As if they had been made with ``feature_extractor_internal_dtype="float64"``, without loading them again."""
    for network in networks:
        network.to(torch.float64)
        network.feature_extractor_internal_dtype = torch.float64


@pytest.mark.usefixtures("without_drawing")
def test_vgg16(vgg16_weights, images, monkeypatch):
    ours, theirs, found, expected = both(
        feature_extractor_vgg16.FeatureExtractorVGG16,
        peer_vgg16.FeatureExtractorVGG16,
        "vgg16",
        ["fc2_relu", "fc2"],
        vgg16_weights,
        "float32",
        images,
    )
    for mine, other in zip(found, expected, strict=True):
        assert mine.dtype == torch.float32 and torch.equal(mine, other)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert relative(found[1], found[0]) > 100 * TOLERANCE
    # In float64, with small layers at the end, for the published ones take a gigabyte then: it is so all the way.
    ours.model.classifier["0"], ours.model.classifier["3"] = torch.nn.Linear(25088, 4), torch.nn.Linear(4, 4)
    in_float64(ours)
    inputs = ours._inputs(images, "tf1-bilinear-224-imagenet")
    hidden = ours.model.classifier["0"](ours.model.features(inputs).flatten(1)).relu()
    assert hidden.dtype == torch.float64
    assert torch.equal(ours(images)[1], ours.model.classifier["3"](hidden).float())
    seen: list[Tensor] = []
    monkeypatch.setattr(theirs.model, "forward", lambda x: seen.append(x) or torch.zeros(1, 1))
    theirs.feature_extractor_internal_dtype = torch.float64
    theirs(images)
    assert torch.equal(inputs, seen[0])


class TestCLIP:
    OURS = feature_extractor_clip.FeatureExtractorCLIP

    @pytest.fixture(scope="class")
    @staticmethod
    def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
        """Weights that float16 has, as the file does; without the text tower."""
        shapes = clip_hub_shapes(*CLIP_SIZES["clip-vit-b32.openai"], text_depth=0)
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith("text_model")}
        state = random_state_dict(shapes)
        return {name: value.half().float() if value.is_floating_point() else value for name, value in state.items()}

    def test_features(self, hub, images, tmp_path):
        """From a file such as OpenAI's own, which torch-fidelity loads as a program."""
        save_archive(openais_layout(hub), tmp_path / "clip.pt")
        ours, theirs, found, expected = both(
            self.OURS, peer_clip.FeatureExtractorCLIP, "clip-vit-b-32", ["clip"], tmp_path / "clip.pt", None, images
        )
        error = relative(found[0], expected[0])
        print(error)
        assert error <= TOLERANCE
        assert ours.resolution == theirs.resolution == 224
        assert relative(found[0][:1], found[0][1:]) > 100 * TOLERANCE
        in_float64(ours, theirs)
        assert relative(ours(images)[0], theirs(images)[0]) <= 1e-6

    def test_networks_that_are_not_here(self):
        with pytest.raises(UsageError, match=r"'clip-rn50' is a residual network.*'clip-vit-b-32', 'clip-vit-b-16'"):
            self.OURS("clip-rn50", ["clip"])
        with pytest.raises(UnknownNameError, match=r"no clip network is called 'clip-vit-b-23'; did you mean"):
            self.OURS("clip-vit-b-23", ["clip"])

    def test_the_file_that_torch_fidelity_fetched(self, hub, tmp_path, monkeypatch):
        """It is found; that this one is not the published one is noticed by its content."""
        name = "clip-vit-b-32-40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af.pt"
        folder = tmp_path / "hub" / "checkpoints"
        folder.mkdir(parents=True)
        save_archive(openais_layout(hub), folder / name)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(WeightsError, match=rf"{name}' has the published name .* published 40d365715913"):
            self.OURS("clip-vit-b-32", ["clip"])
        monkeypatch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        assert self.OURS("clip-vit-b-32", ["clip"]).model.visual_projection.weight.shape == (512, 768)


class TestDINOv2:
    OURS = feature_extractor_dinov2.FeatureExtractorDinoV2

    def test_features(self, images, tmp_path, monkeypatch):
        """timm's network stands in for the one that torch's hub would fetch."""
        hub = random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES["dinov2-vits14.lvd142m"]))
        hub["embeddings.position_embeddings"] = hub["embeddings.position_embeddings"][:, : 16 * 16 + 1].clone()
        save_file(hub, tmp_path / "model.safetensors")
        network = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0)
        network.load_state_dict(timms_layout(hub))
        monkeypatch.setattr(torch.hub, "load", lambda *_: network)
        monkeypatch.setenv("XFORMERS_DISABLED", "1")  # put back afterwards: the peer sets it for the whole process
        theirs = peer_dinov2.FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])
        ours = self.OURS("dinov2-vit-s-14", ["dinov2"], str(tmp_path / "model.safetensors"), **SETTINGS)
        with torch.no_grad():
            found, expected = ours(images)[0], theirs(images)[0]
        error = relative(found, expected)
        print(error)
        assert error <= TOLERANCE
        assert relative(found[:1], found[1:]) > 100 * TOLERANCE
        in_float64(ours, theirs)
        assert relative(ours(images)[0], theirs(images)[0]) <= 1e-6

    def test_unknown_name(self):
        with pytest.raises(UnknownNameError, match=r"'dinov2-vit-x-14'; did you mean 'dinov2-vit-"):
            self.OURS("dinov2-vit-x-14", ["dinov2"])


def timms_layout(hub: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of weights in the hub's layout."""
    state = {}
    for name, value in hub.items():
        key, tensor = name, value
        if "mask_token" in name or ".key." in name or ".value." in name:
            continue
        if ".query." in name:
            tensor = torch.cat([hub[name.replace("query", part)] for part in ("query", "key", "value")])
            key = name.replace("attention.attention.query", "attn.qkv")
        for old, new in {
            "embeddings.patch_embeddings.projection": "patch_embed.proj",
            "embeddings.position_embeddings": "pos_embed",
            "embeddings.": "",
            "encoder.layer": "blocks",
            "attention.output.dense": "attn.proj",
            "layer_scale1.lambda1": "ls1.gamma",
            "layer_scale2.lambda1": "ls2.gamma",
            "layernorm": "norm",
        }.items():
            key = key.replace(old, new)
        state[key] = tensor
    return state


PAIRS = {
    "inception": (
        feature_extractor_inceptionv3.FeatureExtractorInceptionV3,
        peer_inception.FeatureExtractorInceptionV3,
    ),
    "vgg16": (feature_extractor_vgg16.FeatureExtractorVGG16, peer_vgg16.FeatureExtractorVGG16),
    "clip": (feature_extractor_clip.FeatureExtractorCLIP, peer_clip.FeatureExtractorCLIP),
    "dinov2": (feature_extractor_dinov2.FeatureExtractorDinoV2, peer_dinov2.FeatureExtractorDinoV2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_classes_say_of_themselves(name):
    ours, theirs = PAIRS[name]
    assert ours.get_provided_features_list() == theirs.get_provided_features_list()
    for metric in ("isc", "fid", "kid", "prc"):
        assert ours.get_default_feature_layer_for_metric(metric) == theirs.get_default_feature_layer_for_metric(metric)
    assert ours.get_default_feature_layer_for_metric("mind") == ours.get_default_feature_layer_for_metric("fid")
    assert ours.can_be_compiled() is theirs.can_be_compiled() is True
    dummy = ours.get_dummy_input_for_compile()
    assert dummy.shape == theirs.get_dummy_input_for_compile().shape and dummy.dtype == torch.uint8
    with pytest.raises(KeyError):
        ours.get_default_feature_layer_for_metric("ppl")


class TestErrors:
    OURS = feature_extractor_vgg16.FeatureExtractorVGG16

    @pytest.fixture(scope="class")
    @staticmethod
    def network(vgg16_weights: Path) -> torch.nn.Module:
        return TestErrors.OURS("vgg16", ["fc2"], feature_extractor_weights_path=str(vgg16_weights))

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((1, 3, 8, 8), np.uint8), "'vgg16' was given a ndarray; expected a tensor uint8"),
            (torch.zeros(1, 3, 8, 8), r"given float32 \(1, 3, 8, 8\); expected uint8 \(n, 3, h, w\); quantise"),
            (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), r"given uint8 \(1, 1, 8, 8\); expected uint8 \(n, 3, h, w\)$"),
            (torch.zeros(3, 8, 8, dtype=torch.uint8), r"given uint8 \(3, 8, 8\)"),
        ],
    )
    def test_images(self, network, images, message):
        with pytest.raises(ValueError, match=message):
            network._inputs(images, "tf1-bilinear-224-imagenet")

    @pytest.mark.parametrize(
        ("features", "given", "message"),
        [
            (["fc3"], {}, "has no feature 'fc3'; it provides: 'fc2', 'fc2_relu'"),
            ([], {}, "no feature of extractor 'vgg16' was asked for"),
            (["fc2", "fc2"], {}, "asked for twice"),
            ("fc2", {}, r"expected a list of names, such as \['fc2'\]"),
            (["fc2"], {"feature_extractor_internal_dtype": "float16"}, r"expected 'float32' .* or 'float64'"),
            (["fc2"], {"batchsize": 3}, "unknown option 'batchsize'; did you mean 'batch_size'"),
        ],
    )
    def test_options(self, features, given, message):
        with pytest.raises(ValueError, match=message):
            self.OURS("vgg16", features, **given)

    def test_missing_weights(self):
        with pytest.raises(WeightsError, match=r"'vgg16.tv-in1k' has no weights here"):
            self.OURS("vgg16", ["fc2"])


class TestBase:
    def test_everything_that_the_originals_has(self):
        names = {name for name in vars(peer_base.FeatureExtractorBase) if not name.startswith("__")}
        assert names <= set(dir(feature_extractor_base.FeatureExtractorBase))

    def test_what_a_subclass_must_override(self):
        class Own(feature_extractor_base.FeatureExtractorBase):
            @staticmethod
            def get_provided_features_list():
                return ("a", "b")

        own = Own("own", ["b", "a"])
        assert own.convert_features_tuple_to_dict((1, 2)) == {"b": 1, "a": 2}
        with pytest.raises(UsageError, match=r"'own' gave a tuple of 1; expected a tuple of the 2 features 'b', 'a'"):
            own.convert_features_tuple_to_dict((1,))
        with pytest.raises(UsageError, match="'own' gave a list; expected a tuple"):
            own.convert_features_tuple_to_dict([1, 2])
        for call in (
            own.can_be_compiled,
            own.get_dummy_input_for_compile,
            lambda: own.get_default_feature_layer_for_metric("fid"),
            lambda: own(torch.zeros(1)),
            feature_extractor_base.FeatureExtractorBase.get_provided_features_list,
        ):
            with pytest.raises(NotImplementedError):
                call()


class TestResize:
    RESIZE = staticmethod(interpolate_compat_tensorflow.interpolate_bilinear_2d_like_tensorflow1x)
    PEER = staticmethod(peer_resize.interpolate_bilinear_2d_like_tensorflow1x)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("given", [{"size": (299, 299)}, {"size": [20, 31]}, {"scale_factor": 1.7}])
    def test_bit_equal(self, dtype, given, images):
        found = self.RESIZE(images.to(dtype), align_corners=False, **given)
        expected = self.PEER(images.to(dtype), align_corners=False, **given)
        assert torch.equal(found, expected)
        assert torch.equal(found, self.RESIZE(images.to(dtype), align_corners=False, method="fast", **given))

    def test_aligned_corners(self, images):
        found = self.RESIZE(images.float(), size=(100, 77), align_corners=True)
        expected = self.PEER(images.float(), size=(100, 77), align_corners=True)
        assert float((found - expected).abs().max()) < 1e-3
        assert float((found - self.RESIZE(images.float(), size=(100, 77), align_corners=False)).abs().max()) > 1

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"size": (9, 9)}, "align_corners is missing"),
            ({"align_corners": False}, "give one of them"),
            ({"align_corners": False, "size": (9, 9), "scale_factor": 2.0}, "give one of them"),
            ({"align_corners": False, "size": (9,)}, "expected height and width"),
        ],
    )
    def test_errors(self, given, message, images):
        with pytest.raises(ValueError, match=message):
            self.RESIZE(images.float(), **given)


def test_helpers(capsys):
    assert helpers.text_to_dtype("float64") == torch.float64
    assert helpers.text_to_dtype("other", "float32") == torch.float32 and helpers.text_to_dtype(None) is None
    assert helpers.get_kwarg("kid_subsets", {}) == 100 and helpers.get_kwarg("kid_subsets", {"kid_subsets": 7}) == 7
    helpers.vprint(True, "said")
    helpers.vprint(False, "unsaid")
    assert capsys.readouterr() == ("", "said\n")
    with pytest.raises(ValueError, match=r"^so$"):
        helpers.vassert(False, "so")
    with pytest.raises(UsageError, match="unknown option 'kid_subset'; did you mean 'kid_subsets'"):
        helpers.get_kwarg("kid_subset", {})
