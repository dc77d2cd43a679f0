"""Our network of torchvision's Inception-v3 against torchvision 0.28.0's, with the same random weights.

Tolerance: 1e-5 relative (Euclidean, per image); 5e-6 for OpenVINO, of the whole output. Reached with torch 2.13.0 on a
CPU: see what the tests print.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmetrics.errors import WeightsError
from genmetrics.extractors.base import Extractor, load_extractor
from support.peers import import_peer

inception = import_peer("torchvision.models.inception")

TOLERANCE = 1e-5
NAME = "inception-v3.tv-in1k"
WANTED = ("2048", "logits")


@pytest.fixture(scope="module")
def peer(inception_torchvision_weights: Path) -> nn.Module:
    """torchvision's network; it takes images normalised with ImageNet's mean and deviation."""
    with torch.device("meta"):
        network = inception.inception_v3(aux_logits=False, transform_input=True, init_weights=False)
    network.load_state_dict(torch.load(inception_torchvision_weights), assign=True)
    return network.eval()


@pytest.fixture(scope="module")
def extractor(inception_torchvision_weights: Path) -> Extractor:
    extractor = load_extractor(NAME, inception_torchvision_weights)
    extractor.to(torch.device("cpu"), "exact", "reference")
    return extractor


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    return torch.from_numpy(smooth_images(2, 70, 50, seed=0)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def theirs(peer: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """From uint8, as torchvision's pipelines take them but for the size and resize."""
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pooled: list[Tensor] = []
    hook = peer.fc.register_forward_hook(lambda _module, inputs, _output: pooled.append(inputs[0].clone()))
    with torch.no_grad():
        resized = F.interpolate((images / 255 - mean) / std, (299, 299), mode="bilinear", align_corners=False)
        logits = peer(resized)
    hook.remove()
    return {"2048": pooled[0], "logits": logits}


def relative(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == torch.float32
    return float(((ours - theirs).double().norm(dim=1) / theirs.double().norm(dim=1)).max())


def test_torchvision(extractor, images, theirs):
    ours = extractor(images, WANTED)
    errors = {name: relative(ours[name], theirs[name]) for name in WANTED}
    print(errors)
    assert max(errors.values()) <= TOLERANCE
    # What is compared tells images apart.
    assert all(relative(ours[name][:1], ours[name][1:]) > 100 * TOLERANCE for name in WANTED)


@pytest.mark.parametrize("quirk", ["average", "maximum"])
def test_the_pooling_of_2015_is_told_apart(extractor, images, theirs, monkeypatch, quirk):
    """The other network's averages without the padding, and its maximum in the last block."""
    from genmetrics.extractors import inception_trunk

    network = extractor.network
    blocks = [network.Mixed_7c] if quirk == "maximum" else [network.Mixed_5b]
    for block in blocks:
        monkeypatch.setattr(block, "pool", getattr(inception_trunk, quirk))
    with torch.no_grad():
        found = network(extractor.preprocess(images), WANTED)
    assert min(relative(found[name], theirs[name]) for name in WANTED) > 10 * TOLERANCE


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_backends(backend, extractor, images, inception_torchvision_weights):
    if backend == "openvino":
        pytest.importorskip("openvino", reason="needs openvino; pip install 'genmetrics[openvino]' runs it")
    other = load_extractor(NAME, inception_torchvision_weights)
    other.to(torch.device("cpu"), "exact", backend)
    ours, reference = other(images, WANTED), extractor(images, WANTED)
    errors = {name: float((ours[name] - reference[name]).norm() / reference[name].norm()) for name in WANTED}
    print(backend, errors)
    assert max(errors.values()) < 5e-6


def test_the_auxiliary_head_of_the_published_file_is_left_out(tmp_path, inception_torchvision_weights):
    """And nothing else is: the file of another network is refused."""
    state = torch.load(inception_torchvision_weights)
    with torch.device("meta"):
        shapes = inception.inception_v3(aux_logits=True, init_weights=False).state_dict()
    auxiliary = {name: torch.zeros(value.shape) for name, value in shapes.items() if name.startswith("AuxLogits.")}
    assert len(auxiliary) == 14 and {*state, *auxiliary} == shapes.keys()
    torch.save({**state, **auxiliary}, tmp_path / "whole.pth")
    whole, without = (load_extractor(NAME, path) for path in (tmp_path / "whole.pth", inception_torchvision_weights))
    assert all(
        torch.equal(one, other)
        for one, other in zip(whole.network.parameters(), without.network.parameters(), strict=True)
    )
    torch.save({**state, "head.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"do not fit extractor 'inception-v3\.tv-in1k'.*unexpected head\.weight"):
        load_extractor(NAME, tmp_path / "other.pth")
