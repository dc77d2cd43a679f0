"""LPIPS under torch-fidelity's name against torch-fidelity 0.4.0's own, with the same random trunk and its heads.

Tolerance: 1e-5 relative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmetrics.compat.torch_fidelity import sample_similarity_base, sample_similarity_lpips
from genmetrics.errors import UsageError
from genmetrics.extractors.published import file_in_package
from support.peers import import_peer
from support.weights import random_state_dict, vgg16_shapes

peer = import_peer("torch_fidelity.sample_similarity_lpips")
torchvision_vgg = import_peer("torchvision.models.vgg")
import_peer("lpips")

NAME = "lpips-vgg16"
TOLERANCE = 1e-5
OURS = sample_similarity_lpips.SampleSimilarityLPIPS


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs."""
    folder = tmp_path_factory.mktemp("trunk")
    state = random_state_dict(vgg16_shapes(classifier=False))
    torch.save(state, folder / "vgg16-397923af.pth")

    class Trunk:
        features = torchvision_vgg.vgg16(init_weights=False).features

    Trunk.features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    heads = torch.load(file_in_package("lpips", "weights/v0.1/vgg.pth"), map_location="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMETRICS_WEIGHTS", str(folder))
        patch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        patch.setattr(peer, "torchvision_load_pretrained_vgg16", Trunk)
        patch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: heads)
        return OURS(NAME, input1="a generator", ppl=True, verbose=False), peer.SampleSimilarityLPIPS(NAME)


@pytest.fixture(scope="module")
def pair(smooth_images: Callable[..., np.ndarray]) -> tuple[Tensor, Tensor]:
    first, second = (torch.from_numpy(smooth_images(2, 72, 88, seed)).permute(0, 3, 1, 2) for seed in (1, 2))
    second = second.clone()
    second[0] = (first[0] * 0.9 + 10).to(torch.uint8)
    return first.contiguous(), second.contiguous()


# Smaller, larger than one side only, larger than both, and as they are.
@pytest.mark.parametrize(
    ("resize", "dtype"), [(64, "uint8"), (64, "float32"), (80, "uint8"), (100, "float32"), (None, None)]
)
def test_distances(resize, dtype, networks, pair):
    first, second = pair if dtype == "uint8" else (images + 0.25 for images in pair)
    for network in networks:
        network.sample_similarity_resize, network.sample_similarity_dtype = resize, dtype
    with torch.no_grad():
        found, expected = (network(first, second) for network in networks)
    error = float(((found - expected).abs() / expected.abs()).max())
    print(error)
    assert found.shape == (2,) and found.dtype == torch.float32 and error <= TOLERANCE
    assert float(found[0]) < float(found[1])
    # Negative control: a quarter of a grey level more on one side is another distance.
    with torch.no_grad():
        moved = networks[0](first.float() + 2, second.float()) if dtype is None else None
    assert moved is None or float(((moved - expected).abs() / expected.abs()).min()) > 10 * TOLERANCE


def test_float64_is_not_a_type_of_it(networks, pair):
    networks[0].sample_similarity_dtype = "uint8"
    with pytest.raises(UsageError, match=r"input 1 of .*'lpips-vgg16' is float64, and .* 'uint8'; .*_dtype=None"):
        networks[0](pair[0], pair[1].double())
    with pytest.raises(UsageError, match=r"is float32, and .* give ppl_sample_similarity_dtype='float32'"):
        networks[0](pair[0].float(), pair[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample_similarity_dtype": "float16"}, "'float16'; expected 'uint8' or 'float32'"),
        ({"sample_similarity_resize": 0}, "sample_similarity_resize is 0; expected a side such as 64"),
        ({"resize": 64}, "unknown option 'resize'"),
    ],
)
def test_options(given, message):
    with pytest.raises(UsageError, match=message):
        OURS(NAME, **given)


def test_images_of_other_shapes(networks):
    for network in networks:
        network.sample_similarity_dtype = None
    with pytest.raises(UsageError, match=r"input 0 of sample similarity 'lpips-vgg16' is \(1, 1, 8, 8\); expected"):
        networks[0](torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8))


def test_base():
    base = sample_similarity_base.SampleSimilarityBase("mine")
    assert base.get_name() == base.name == "mine"
    with pytest.raises(NotImplementedError):
        base(1, 2)
