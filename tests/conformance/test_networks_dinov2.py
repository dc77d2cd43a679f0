"""Our DINOv2 against timm 1.0.31's and the transformers library's, with the same random weights.

Tolerance: 1e-5 relative (Euclidean, per image). Reached with torch 2.13.0 on a CPU: bit-equal to timm, 2.2e-7 of the
library, whose own position embeddings move the features by 0.03.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genmetrics.errors import WeightsError
from genmetrics.extractors import dinov2 as ours
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.extractors.weights import fresh_module
from support.peers import import_peer
from support.weights import DINOV2_SIZES, dinov2_hub_shapes, random_state_dict

timm = import_peer("timm")
transformers = import_peer("transformers")

NAME = "dinov2-vits14.lvd142m"
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def hub_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / "model.safetensors"
    save_file(random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES[NAME])), path)
    return path


@pytest.fixture(scope="module")
def extractor(hub_file: Path) -> Extractor:
    return load_extractor(NAME, hub_file)


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    return torch.from_numpy(smooth_images(2, 130, 90, seed=0)).permute(0, 3, 1, 2).contiguous()


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape and found.dtype == expected.dtype == torch.float32
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


def metas_positions(published: Tensor, side: int = 224) -> Tensor:
    """What ``interpolate_pos_encoding`` of facebookresearch/dinov2 does with an image of ``side``, line by line."""
    count = published.shape[1] - 1
    cls, patches = published[:, 0], published[:, 1:]
    w0 = side // 14 + 0.1
    patches = torch.nn.functional.interpolate(
        patches.reshape(1, int(math.sqrt(count)), int(math.sqrt(count)), -1).permute(0, 3, 1, 2),
        scale_factor=(float(w0 / math.sqrt(count)), float(w0 / math.sqrt(count))),
        mode="bicubic",
    )
    assert patches.shape[-1] == int(w0)
    return torch.cat((cls.unsqueeze(0), patches.permute(0, 2, 3, 1).reshape(1, -1, published.shape[-1])), dim=1)


def transformers_positions(published: Tensor) -> Tensor:
    patches = published[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(patches, size=(16, 16), mode="bicubic", align_corners=False)
    return torch.cat((published[:, :1], patches.permute(0, 2, 3, 1).reshape(1, 256, -1)), dim=1)


def test_position_embeddings_are_metas():
    published = torch.randn(1, 37 * 37 + 1, 24, generator=torch.Generator().manual_seed(0))
    found = ours.interpolated_positions(published)
    assert torch.equal(found, metas_positions(published))
    assert torch.equal(ours.interpolated_positions(found), found)
    # Negative control: the library's own scale, 16 in place of 16.1.
    assert float((found - transformers_positions(published)).abs().max()) > 0.01


def test_timm(extractor, hub_file, images):
    """The whole of ViT-S, from uint8, with Meta's position embeddings on both sides."""
    state = ours.relabel(random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES[NAME])), ours._FROM_HUB)
    state = ours.joined(state, ".qkv.")
    state["pos_embed"] = metas_positions(state["pos_embed"])
    with torch.device("meta"):
        network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=224, num_classes=0)
    network.load_state_dict(state, assign=True)
    with torch.no_grad():
        expected = network.eval()(extractor.preprocess(images))
    found = extractor(images, ["cls"])["cls"]
    error = relative(found, expected)
    print(error)
    assert error <= TOLERANCE
    assert relative(found[:1], found[1:]) > 100 * TOLERANCE


@pytest.mark.parametrize("swiglu", [False, True])
def test_transformers(tmp_path, swiglu):
    """A small one that the library saves, in the layout of the hub's files; its own position embeddings differ."""
    width, depth = 128, 2
    config = transformers.Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=2, image_size=518, use_swiglu_ffn=swiglu
    )
    library = transformers.Dinov2Model(config).eval()
    library.save_pretrained(tmp_path)
    shapes = dinov2_hub_shapes(width, depth, swiglu)
    from safetensors.torch import load_file

    assert {name: tuple(value.shape) for name, value in load_file(tmp_path / "model.safetensors").items()} == shapes
    state = random_state_dict(shapes)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    library = transformers.Dinov2Model.from_pretrained(tmp_path).eval()

    class Small(ours._DINOv2Extractor):
        name = NAME

        @classmethod
        def make(cls) -> torch.nn.Module:
            return ours.DINOv2(width, depth, swiglu)

    inputs = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    found = Small(tmp_path / "model.safetensors").run(inputs, ["cls"])["cls"]
    embeddings = library.embeddings
    with torch.no_grad():
        of_library = library(inputs).pooler_output
        embeddings.position_embeddings = torch.nn.Parameter(metas_positions(embeddings.position_embeddings.data))
        expected = library(inputs).pooler_output
    error = relative(found, expected)
    print(error, relative(found, of_library))
    assert error <= TOLERANCE
    assert relative(found, of_library) > 100 * TOLERANCE


@pytest.mark.parametrize("name", DINOV2_SIZES)
def test_every_size_takes_the_hubs_layout(name):
    """On the meta device: names and shapes alone. Meta's own layout is that of the network."""
    shapes = dinov2_hub_shapes(*DINOV2_SIZES[name], swiglu="vitg" in name)
    kind = {info: getattr(ours, f"DINOv2ViT{info.split('-')[1][3].upper()}") for info in DINOV2_SIZES}[name]
    assert kind.name == name
    with torch.device("meta"):
        hub = {key: torch.empty(shape) for key, shape in shapes.items()}
        state = kind.relabelled(object.__new__(kind), hub)
        network = kind.make()
        assert {key: value.shape for key, value in state.items()} == {
            key: value.shape for key, value in network.state_dict().items()
        }


def test_metas_own_layout(tmp_path):
    """The file of torch's hub, which has a mask token and position embeddings for 37 x 37 patches."""

    class Small(ours._DINOv2Extractor):
        name = NAME

        @classmethod
        def make(cls) -> torch.nn.Module:
            return ours.DINOv2(64, 1)

    hub = random_state_dict(dinov2_hub_shapes(64, 1))
    state = ours.joined(ours.relabel(hub, ours._FROM_HUB), ".qkv.")
    state["mask_token"] = hub["embeddings.mask_token"]
    assert state["pos_embed"].shape[1] == 1370
    torch.save(hub, tmp_path / "hub.pth")
    torch.save(state, tmp_path / "dinov2_vits14_pretrain.pth")
    inputs = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    found = [Small(path).run(inputs, ["cls"])["cls"] for path in sorted(tmp_path.iterdir())]
    assert torch.equal(*found)


def test_another_size_is_refused(hub_file):
    with pytest.raises(WeightsError, match=r"do not fit extractor 'dinov2-vitb14\.lvd142m' \("):
        load_extractor("dinov2-vitb14.lvd142m", hub_file)


def test_a_missing_third_is_noticed():
    state = random_state_dict(dinov2_hub_shapes(64, 1))
    del state["encoder.layer.0.attention.attention.key.weight"]
    state = ours._DINOv2Extractor.relabelled(object.__new__(ours.DINOv2ViTS), state)
    with pytest.raises(WeightsError, match=r"missing blocks\.0\.attn\.qkv\.weight"):
        fresh_module(lambda: ours.DINOv2(64, 1), state, Path("x"), NAME)
