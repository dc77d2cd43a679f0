"""Our VGG16 against torchvision's and torch-fidelity 0.4.0's, with the same random weights.

Tolerance: 1e-5 relative (Euclidean, per image). Reached with torch 2.13.0 on a CPU: bit-equal to torch-fidelity and to
torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.preprocess.spec import get_preprocess
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.feature_extractor_vgg16")
torchvision_vgg = import_peer("torchvision.models.vgg")

TOLERANCE = 1e-5
SIZE = (300, 180)


@pytest.fixture(scope="module")
def extractor(vgg16_weights: Path) -> Extractor:
    return load_extractor("vgg16.tv-in1k", vgg16_weights)


@pytest.fixture
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    return torch.from_numpy(smooth_images(2, *SIZE, seed=0)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peers' networks with no weights of their own, which are replaced at once and take seconds to draw."""
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda _: None)
    monkeypatch.setattr(torch.nn.Conv2d, "reset_parameters", lambda _: None)
    monkeypatch.setattr(import_peer("torchvision.models"), "vgg16", lambda: torchvision_vgg.vgg16(init_weights=False))


def relative(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == torch.float32
    return float(((ours - theirs).double().norm(dim=1) / theirs.double().norm(dim=1)).max())


@pytest.mark.usefixtures("without_drawing")
def test_torchvision(extractor, vgg16_weights, images):
    network = torchvision_vgg.vgg16(init_weights=False)
    network.load_state_dict(torch.load(vgg16_weights, mmap=True), assign=True)
    inputs = extractor.preprocess(images)
    before: list[Tensor] = []
    network.classifier[3].register_forward_hook(lambda _module, _inputs, output: before.append(output.clone()))
    with torch.no_grad():
        logits = network.eval()(inputs)
    found = extractor.run(inputs, ("fc2", "fc2_relu", "logits"))
    errors = [
        relative(found["logits"], logits),
        relative(found["fc2"], before[0]),
        relative(found["fc2_relu"], before[0].relu()),
    ]
    print(errors)
    assert max(errors) <= TOLERANCE
    # What is compared is not constant: before its ReLU the layer is another, and so are its images.
    assert relative(found["fc2"], found["fc2_relu"]) > 100 * TOLERANCE
    assert relative(found["fc2"][:1], found["fc2"][1:]) > 100 * TOLERANCE


@pytest.mark.usefixtures("without_drawing")
def test_torch_fidelity(extractor, vgg16_weights, images):
    """From uint8; with Pillow's resize in place of TensorFlow's as the negative control."""
    network = fidelity.FeatureExtractorVGG16(
        "vgg16", ["fc2", "fc2_relu"], feature_extractor_weights_path=str(vgg16_weights)
    )
    with torch.no_grad():
        theirs = dict(zip(("fc2", "fc2_relu"), network(images), strict=True))
    ours = extractor(images, ("fc2", "fc2_relu"))
    errors = {name: relative(ours[name], theirs[name]) for name in theirs}
    print(errors)
    assert max(errors.values()) <= TOLERANCE
    other = extractor.run(get_preprocess("pil-bicubic-224-imagenet")(images), ["fc2"])
    assert relative(other["fc2"], theirs["fc2"]) > 100 * TOLERANCE
