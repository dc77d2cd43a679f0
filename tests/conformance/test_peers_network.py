"""Our Inception-v3 against torch-fidelity 0.4.0's and pytorch-fid 0.3.0's, with the same random weights.

The whole way is compared, from uint8 images to each output: torch-fidelity with TensorFlow 1's resize, pytorch-fid
with torch's. Tolerance: 1e-5 relative (Euclidean, per image), on each backend. Reached with torch 2.13.0 on an AVX-512
CPU: every output of every image is bit-equal to both peers' on the backend ``reference``; 9e-7 at most on the others.
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

fidelity = import_peer("torch_fidelity.feature_extractor_inceptionv3")
pytorch_fid = import_peer("pytorch_fid.inception")

OUTPUTS = ("64", "192", "768", "2048", "logits_unbiased", "logits")
POOLED = OUTPUTS[:4]
# Height and width: enlarged, reduced by less and by more than two, square and not; never the network's own 299.
SIZES = [(32, 32), (64, 48), (240, 320), (500, 333), (700, 640)]
SIZE_IDS = [f"{height}x{width}" for height, width in SIZES]
TOLERANCE = 1e-5


BACKENDS = ["reference", "torch", "openvino"]


@pytest.fixture(scope="module")
def extractor(inception_weights: Path) -> Extractor:
    return load_extractor("inception-v3.tf2015", inception_weights)


@pytest.fixture(scope="module")
def on_backends(inception_weights: Path) -> dict[str, Extractor]:
    found = {backend: load_extractor("inception-v3.tf2015", inception_weights) for backend in BACKENDS}
    for backend, network in found.items():
        network.to(torch.device("cpu"), "exact", backend)
    return found


@pytest.fixture(scope="module")
def of_fidelity(inception_weights: Path) -> Callable[[Tensor], dict[str, Tensor]]:
    network = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", list(OUTPUTS), feature_extractor_weights_path=str(inception_weights)
    )

    def run(images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return dict(zip(OUTPUTS, network(images), strict=True))

    return run


@pytest.fixture(scope="module")
def of_pytorch_fid(inception_weights: Path) -> Callable[[Tensor], dict[str, Tensor]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: torch.load(inception_weights))
        network = pytorch_fid.InceptionV3([0, 1, 2, 3]).eval()

    def run(images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            # ToTensor's division, then global pooling as in fid_score.get_activations.
            blocks = network(images.to(torch.float32).div(255))
            pooled = [torch.nn.functional.adaptive_avg_pool2d(block, (1, 1)).flatten(1) for block in blocks]
            return dict(zip(POOLED, pooled, strict=True))

    return run


@pytest.fixture
def images(smooth_images: Callable[..., np.ndarray]) -> Callable[[tuple[int, int]], Tensor]:
    def make(size: tuple[int, int]) -> Tensor:
        return torch.from_numpy(smooth_images(2, *size, seed=size[0])).permute(0, 3, 1, 2).contiguous()

    return make


def relative_errors(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, float]:
    """The greatest relative Euclidean difference over the images, by output."""
    assert ours.keys() == theirs.keys()
    errors = {}
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape and ours[name].dtype == expected.dtype == torch.float32
        difference = (ours[name].double() - expected.double()).norm(dim=1)
        errors[name] = float((difference / expected.double().norm(dim=1)).max())
    print(errors)
    return errors


def pytorch_way(extractor: Extractor, images: Tensor) -> dict[str, Tensor]:
    return extractor.run(get_preprocess("torch-bilinear-299")(images), POOLED)


@pytest.mark.parametrize("size", SIZES, ids=SIZE_IDS)
class TestTorchFidelity:
    def test_all_outputs(self, on_backends, of_fidelity, images, size):
        theirs = of_fidelity(images(size))
        for backend, extractor in on_backends.items():
            found = relative_errors(extractor(images(size), OUTPUTS), theirs)
            assert max(found.values()) <= TOLERANCE, backend

    def test_the_other_resizer_is_told_apart(self, extractor, of_fidelity, images, size):
        theirs = {name: values for name, values in of_fidelity(images(size)).items() if name in POOLED}
        found = relative_errors(pytorch_way(extractor, images(size)), theirs)
        assert min(found.values()) > 100 * TOLERANCE


@pytest.mark.parametrize("size", SIZES, ids=SIZE_IDS)
class TestPytorchFid:
    def test_all_outputs(self, on_backends, of_pytorch_fid, images, size):
        theirs = of_pytorch_fid(images(size))
        for backend, extractor in on_backends.items():
            found = relative_errors(pytorch_way(extractor, images(size)), theirs)
            assert max(found.values()) <= TOLERANCE, backend

    def test_the_other_resizer_is_told_apart(self, extractor, of_pytorch_fid, images, size):
        found = relative_errors(extractor(images(size), POOLED), of_pytorch_fid(images(size)))
        assert min(found.values()) > 100 * TOLERANCE


class TestSensitivity:
    """That the agreement above is not one of constants."""

    def test_outputs_tell_images_apart(self, extractor, images):
        found = extractor(images(SIZES[1]), OUTPUTS)
        for name, values in found.items():
            assert float((values[0] - values[1]).norm() / values[0].norm()) > 100 * TOLERANCE, name

    def test_other_weights_are_told_apart(self, of_fidelity, images, tmp_path):
        from support.weights import random_inception_state_dict

        torch.save(random_inception_state_dict(seed=1), tmp_path / "other.pth")
        other = load_extractor("inception-v3.tf2015", tmp_path / "other.pth")
        found = relative_errors(other(images(SIZES[0]), OUTPUTS), of_fidelity(images(SIZES[0])))
        assert min(found.values()) > 1000 * TOLERANCE

    def test_the_random_weights_give_a_telling_inception_score(self, extractor):
        noise = np.random.RandomState(3).randint(0, 256, (12, 3, 64, 64), dtype=np.uint8)
        logits = extractor(torch.from_numpy(noise), ["logits_unbiased"])["logits_unbiased"].double()
        p = logits.softmax(dim=1)
        score = float((p * (logits.log_softmax(dim=1) - p.mean(dim=0).log())).sum(dim=1).mean().exp())
        assert 1.01 < score < 100
        assert 0.01 < float(p.max(dim=1).values.mean()) < 0.99
