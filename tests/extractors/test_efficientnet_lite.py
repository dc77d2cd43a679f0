"""EfficientNet-Lite0 with its packaged weights recognises photographs, and equals the weights' own network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from skimage import data

from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.preprocess.spec import Preprocess

# ImageNet-1k: tiger cat, Egyptian cat, tabby; cup of espresso; missile, drilling rig, projectile.
CATS, ESPRESSO, ROCKETS = {281, 282, 285}, {967}, {657, 540, 744}


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor("efficientnet-lite0.in1k")


def photo(name: str) -> torch.Tensor:
    """One of scikit-image's photographs, (1, 3, h, w) uint8."""
    return torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].contiguous()


def probabilities(extractor: Extractor, image: torch.Tensor, preprocess: Preprocess | None = None) -> torch.Tensor:
    inputs = (preprocess or extractor.preprocess)(image)
    return extractor.run(inputs, ["logits"])["logits"].softmax(dim=1)[0]


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", ESPRESSO)])
def test_photograph_is_recognised(extractor: Extractor, name: str, classes: set[int]) -> None:
    probs = probabilities(extractor, photo(name))
    assert int(probs.argmax()) in classes
    assert float(probs[list(classes)].sum()) > 0.8


def test_rocket_on_its_pad(extractor: Extractor) -> None:
    assert set(probabilities(extractor, photo("rocket")).topk(3).indices.tolist()) <= ROCKETS


def test_recognises_at_other_sizes(extractor: Extractor) -> None:
    small = photo("coffee")[:, :, ::2, ::2]
    assert int(probabilities(extractor, small).argmax()) in ESPRESSO


@pytest.mark.parametrize(
    ("field", "value"),
    [("std", (1.0, 1.0, 1.0)), ("divisor", 255.0), ("mean", (0.0, 0.0, 0.0))],
    ids=["not scaled", "scaled twice", "not centred"],
)
def test_wrong_normalisation_would_be_noticed(extractor: Extractor, field: str, value: object) -> None:
    """Negative control: the recognition above rests on the preprocessing."""
    image = photo("coffee")
    wrong = replace(extractor.preprocess, **{field: value})
    probs = probabilities(extractor, image, wrong)
    assert float(probs[list(ESPRESSO)].sum()) < 0.6
    assert float((probs - probabilities(extractor, image)).abs().sum()) > 0.5


def test_swapped_channels_would_be_noticed(extractor: Extractor) -> None:
    """Negative control: RGB it is."""
    image = photo("chelsea")
    right, swapped = (float(probabilities(extractor, x)[list(CATS)].sum()) for x in (image, image.flip(1)))
    assert swapped < right - 0.05


def test_features_are_means_of_relu6(extractor: Extractor) -> None:
    features = extractor(photo("rocket"), ["1280"])["1280"]
    assert float(features.min()) >= 0 and float(features.max()) <= 6
    assert float(features.std()) > 0.1


def test_logits_are_the_weights_times_the_features(extractor: Extractor) -> None:
    outputs = extractor(photo("rocket"), ["1280", "logits"])
    state = extractor.network.state_dict()
    expected = outputs["1280"] @ state["_fc.weight"].T + state["_fc.bias"]
    torch.testing.assert_close(outputs["logits"], expected, rtol=1e-5, atol=1e-5)


def test_equals_the_weights_own_network(extractor: Extractor) -> None:
    """efficientnet_lite_pytorch 0.1.0, from whose author the weight file is; 1e-5 relative."""
    peer_module = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="`pip install efficientnet-lite-pytorch==0.1.0` runs it"
    )
    peer = peer_module.EfficientNet.from_name("efficientnet-lite0").eval()
    peer.load_state_dict(torch.load(extractor.weights.path, map_location="cpu", weights_only=True))
    inputs = torch.cat([extractor.preprocess(photo(name)) for name in ("chelsea", "coffee", "rocket")])
    with torch.inference_mode():
        expected = peer(inputs)
    ours = extractor.run(inputs, ["logits"])["logits"]
    assert float((ours - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_network_that_was_read_inside_inference_mode_runs_outside(backend: str) -> None:
    images = photo("rocket")
    with torch.inference_mode():
        extractor = load_extractor("efficientnet-lite0.in1k")
        assert not extractor.network.state_dict()["_fc.bias"].is_inference()
    extractor.to(torch.device("cpu"), "exact", backend)
    assert extractor(images, ["1280"])["1280"].shape == (len(images), 1280)
