"""What compares two images: LPIPS against lpips 0.1.4 and torch-fidelity 0.4.0, MS-SSIM against piq 0.8.0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.errors import DependencyError, UsageError
from genmetrics.extractors import lpips as ours
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.extractors.published import file_in_package
from support.peers import import_peer
from support.weights import alexnet_shapes, random_state_dict, vgg16_shapes

lpips = import_peer("lpips")
piq = import_peer("piq")
torchmetrics = import_peer("torchmetrics.functional.image")
fidelity = import_peer("torch_fidelity.sample_similarity_lpips")

NETS = {"lpips-vgg16.v0.1": "vgg", "lpips-alex.v0.1": "alex"}
TOLERANCE = 1e-5
# lpips 0.1.4 asks torchvision for its trunks as torchvision 0.12 wanted it.
pytestmark = pytest.mark.filterwarnings("ignore:.*parameter 'pretrained'|.*for 'weights':UserWarning")


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trunks")
    shapes = {"lpips-vgg16.v0.1": vgg16_shapes(classifier=False), "lpips-alex.v0.1": alexnet_shapes()}
    for name, of_trunk in shapes.items():
        torch.save(random_state_dict(of_trunk), folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in shapes}


@pytest.fixture
def pair(smooth_images: Callable[..., np.ndarray]) -> Callable[..., tuple[Tensor, Tensor]]:
    def make(height: int, width: int, count: int = 2) -> tuple[Tensor, Tensor]:
        """Images of which the first pair is alike and the others are not."""
        first = torch.from_numpy(smooth_images(count, height, width, seed=1)).permute(0, 3, 1, 2).contiguous()
        second = torch.from_numpy(smooth_images(count, height, width, seed=2)).permute(0, 3, 1, 2).contiguous()
        noise = 15 * torch.randn(first[0].shape, generator=torch.Generator().manual_seed(0))
        second[0] = (first[0] * 0.8 + 20 + noise).clamp(0, 255).to(torch.uint8)
        return first, second

    return make


def load(name: str, weights: Path | None = None) -> PairExtractor:
    extractor = load_extractor(name, weights)
    assert isinstance(extractor, PairExtractor)
    return extractor


def peer(name: str, trunk: Path) -> torch.nn.Module:
    """lpips' own network with the packaged heads on our trunk."""
    network = lpips.LPIPS(net=NETS[name], pretrained=False, pnet_rand=True, verbose=False)
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{NETS[name]}.pth"
    network.load_state_dict(torch.load(heads, map_location="cpu"), strict=False)
    state = torch.load(trunk)
    for part in [module for key, module in network.net.named_children() if key.startswith("slice")]:
        part.load_state_dict({key: state[f"features.{key}"] for key in part.state_dict()})
    return network.eval()


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape and found.dtype == torch.float32 and not found.requires_grad
    return float(((found - expected).abs() / expected.abs()).max())


@pytest.mark.parametrize("name", NETS)
def test_lpips_is_the_packages(name, trunks, pair):
    extractor = load(name, trunks[name])
    first, second = (extractor.preprocess(images) for images in pair(72, 88))
    found = extractor.distances(first, second)
    with torch.no_grad():
        expected = peer(name, trunks[name])(first, second).flatten()
    error = relative(found, expected)
    print(name, found, error)
    assert error <= TOLERANCE
    assert relative(found, 1.001 * expected) > 10 * TOLERANCE
    assert float(found[0]) < float(found[1])


@pytest.mark.parametrize("name", NETS)
def test_lpips_of_an_image_and_itself(name, trunks, pair):
    extractor = load(name, trunks[name])
    first = extractor.preprocess(pair(40, 40)[0])
    assert torch.equal(extractor.distances(first, first), torch.zeros(2))


def test_other_heads_are_told_apart(trunks, pair, tmp_path):
    """Negative control: heads of equal widths, each turned round, give other distances."""
    name = "lpips-vgg16.v0.1"
    extractor = load(name, trunks[name])
    first, second = (extractor.preprocess(images) for images in pair(40, 40))
    before = extractor.distances(first, second)
    for head in extractor.network.heads:
        head.copy_(head.flip(0))
    assert relative(extractor.distances(first, second), before) > 100 * TOLERANCE


def test_torch_fidelity(trunks, pair, monkeypatch):
    """From uint8, which torch-fidelity brings to the network's scale in one step."""
    name = "lpips-vgg16.v0.1"
    heads = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / "vgg.pth", map_location="cpu")
    features = import_peer("torchvision.models.vgg").vgg16().features
    features.load_state_dict({key.removeprefix("features."): v for key, v in torch.load(trunks[name]).items()})

    class Trunk:
        pass

    Trunk.features = features
    monkeypatch.setattr(fidelity, "torchvision_load_pretrained_vgg16", Trunk)
    monkeypatch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: heads)
    network = fidelity.SampleSimilarityLPIPS("lpips-vgg16")
    first, second = pair(72, 88)
    with torch.no_grad():
        expected = network(first, second)
    extractor = load(name, trunks[name])
    found = extractor.distances(extractor.preprocess(first), extractor.preprocess(second))
    error = relative(found, expected)
    print(error)
    assert error <= TOLERANCE


class TestWeightsOfTwoFiles:
    def test_both_count(self, trunks, monkeypatch):
        name = "lpips-alex.v0.1"
        first = ours.LPIPSAlexNet.locate(trunks[name])
        assert first.path == trunks[name] and first.official is False
        assert load(name, trunks[name]).weights_sha256 == first.sha256
        monkeypatch.setattr(ours.LPIPSAlexNet, "_heads", lambda: file_in_package("lpips", "weights/v0.1/squeeze.pth"))
        assert ours.LPIPSAlexNet.locate(trunks[name]).sha256 != first.sha256

    def test_the_packaged_heads_are_the_published_ones(self):
        from genmetrics.extractors.weights import file_sha256

        for kind in (ours.LPIPSVGG16, ours.LPIPSAlexNet):
            assert file_sha256(kind._heads()) == kind.heads[1]

    def test_official_only_if_both_are(self, trunks, monkeypatch):
        from dataclasses import replace

        from genmetrics.extractors.published import PUBLISHED
        from genmetrics.extractors.weights import file_sha256

        name = "lpips-alex.v0.1"
        published = replace(PUBLISHED[name], sha256=file_sha256(trunks[name]))
        monkeypatch.setitem(PUBLISHED, name, published)
        assert ours.LPIPSAlexNet.locate(trunks[name]).official is True
        monkeypatch.setattr(ours.LPIPSAlexNet, "heads", ("alex.pth", "0" * 64))
        assert ours.LPIPSAlexNet.locate(trunks[name]).official is False

    def test_without_the_package(self, trunks, monkeypatch):
        monkeypatch.setattr(ours, "file_in_package", lambda *_: None)
        with pytest.raises(DependencyError) as caught:
            load_extractor("lpips-vgg16.v0.1", trunks["lpips-vgg16.v0.1"])
        assert str(caught.value) == (
            "extractor 'lpips-vgg16.v0.1' needs the file weights/v0.1/vgg.pth of the package lpips; install it with "
            "\"pip install 'genmetrics[perceptual]'\""
        )


class TestMultiScaleSSIM:
    def found(self, first: Tensor, second: Tensor) -> Tensor:
        extractor = load("ms-ssim.wang2003")
        return extractor.distances(extractor.preprocess(first), extractor.preprocess(second))

    @pytest.mark.parametrize("size", [(176, 208), (201, 163)])
    def test_piq(self, pair, size):
        first, second = pair(*size)
        expected = piq.multi_scale_ssim(first, second, data_range=255, reduction="none")
        error = float((self.found(first, second) - expected).abs().max())
        print(size, expected, error)
        assert error <= TOLERANCE

    def test_torchmetrics_is_near_and_not_the_same(self, pair):
        """Negative control, and what the docstring says of torchmetrics."""
        first, second = pair(176, 208)
        expected = torchmetrics.multiscale_structural_similarity_index_measure(
            first.float(), second.float(), data_range=255.0, reduction="none"
        )
        difference = float((self.found(first, second) - expected).abs().max())
        print(difference)
        assert 10 * TOLERANCE < difference < 0.05

    def test_an_image_and_itself(self, pair):
        first, _ = pair(170, 170)
        torch.testing.assert_close(self.found(first, first), torch.ones(2), rtol=0, atol=1e-6)

    def test_bf16_leaves_it_alone(self, pair):
        first, second = pair(170, 170)
        extractor = load("ms-ssim.wang2003")
        extractor.to(torch.device("cpu"), "bf16")
        inputs = extractor.preprocess(first), extractor.preprocess(second)
        assert torch.equal(extractor.distances(*inputs), self.found(first, second))

    def test_too_small(self, pair):
        with pytest.raises(UsageError, match=r"needs images of at least 161 pixels a side, .*; given 160x200: enlarge"):
            self.found(*pair(160, 200))

    def test_it_has_no_weights(self):
        extractor = load("ms-ssim.wang2003")
        assert extractor.weights.official is True and extractor.weights.path.exists()
        with pytest.raises(UsageError, match=r"has no weights; leave out '--weights x\.pth'"):
            load_extractor("ms-ssim.wang2003", Path("x.pth"))


def test_pairs_of_other_shapes(pair):
    extractor = load("ms-ssim.wang2003")
    first, second = extractor.preprocess(pair(170, 170)[0]), extractor.preprocess(pair(170, 180)[0])
    with pytest.raises(
        UsageError, match=r"compares images of one shape; given \(2, 3, 170, 170\) and \(2, 3, 170, 180\): resize"
    ):
        extractor.distances(first, second)


def test_single_images_have_no_features(pair):
    with pytest.raises(
        UsageError, match=r"^extractor 'ms-ssim\.wang2003' compares pairs of images and has no features"
    ):
        load("ms-ssim.wang2003")(pair(170, 170)[0], ["similarity"])
