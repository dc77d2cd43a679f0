"""DINOv2, whose network is the transformers library's, against timm 1.0.31's with the same random weights.

Tolerance: 1e-5 relative (Euclidean, per image). Reached with torch 2.13.0 and transformers 5.24.0 on a CPU: bit-equal.
The position embeddings that the library itself would make move the features by 0.02.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from genmetrics.errors import DependencyError, WeightsError
from genmetrics.extractors import dinov2 as ours
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.extractors.weights import fresh_module
from support.peers import import_peer
from support.weights import DINOV2_SIZES, dinov2_hub_shapes, random_state_dict

timm = import_peer("timm")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed; install it with pip install 'genmetrics[hf]'"
)

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


def metas_layout(hub: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file of the hub as Meta's own file holds them."""
    new = {
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.": "",
        "encoder.layer": "blocks",
        "attention.output.dense": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
        "mlp.weights_in": "mlp.w12",
        "mlp.weights_out": "mlp.w3",
        "layernorm": "norm",
    }
    state = {}
    for name, value in hub.items():
        key, tensor = name, value
        if ".key." in name or ".value." in name:
            continue
        if ".query." in name:
            tensor = torch.cat([hub[name.replace("query", part)] for part in ("query", "key", "value")])
            key = name.replace("attention.attention.query", "attn.qkv")
        for old, replacement in new.items():
            key = key.replace(old, replacement)
        state[key] = tensor
    return state


def timm_network(name: str, hub: dict[str, Tensor], positions: Callable[[Tensor], Tensor], **sizes: int) -> nn.Module:
    """timm's, with the weights of a file of the hub."""
    state = metas_layout(hub)
    del state["mask_token"]
    state["pos_embed"] = positions(state["pos_embed"])
    state = {key.replace("w12", "fc1").replace("w3", "fc2"): value for key, value in state.items()}
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, img_size=224, num_classes=0, **sizes)
    network.load_state_dict(state, assign=True)
    return network.eval()


def small(width: int, depth: int, swiglu: bool = False) -> type[ours._DINOv2Extractor]:
    return type("Small", (ours._DINOv2Extractor,), {"name": NAME, "width": width, "depth": depth, "swiglu": swiglu})


def test_timm(extractor, images):
    """The whole of ViT-S, from uint8, with Meta's position embeddings on both sides."""
    hub = random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES[NAME]))
    inputs = extractor.preprocess(images)
    with torch.no_grad():
        expected = timm_network("vit_small_patch14_dinov2", hub, metas_positions)(inputs)
        of_library = timm_network("vit_small_patch14_dinov2", hub, transformers_positions)(inputs)
    found = extractor(images, ["cls"])["cls"]
    error = relative(found, expected)
    print(error, relative(found, of_library))
    assert error <= TOLERANCE
    assert relative(found[:1], found[1:]) > 100 * TOLERANCE
    # Negative control: the library's own position embeddings.
    assert relative(found, of_library) > 100 * TOLERANCE


def test_the_library_itself_would_interpolate_otherwise(hub_file, extractor):
    """The positions that the library would make of the file are the control's above, not Meta's."""
    published = random_state_dict(dinov2_hub_shapes(*DINOV2_SIZES[NAME]))["embeddings.position_embeddings"]
    embeddings = extractor.network.embeddings
    assert torch.equal(embeddings.position_embeddings, metas_positions(published))
    config = transformers.Dinov2Config(hidden_size=384, num_hidden_layers=1, num_attention_heads=6, image_size=518)
    library = transformers.Dinov2Model(config).embeddings
    library.position_embeddings.data = published
    found = library.interpolate_pos_encoding(torch.empty(1, 257, 384), 224, 224)
    torch.testing.assert_close(found, transformers_positions(published), rtol=0, atol=1e-6)


@pytest.mark.parametrize("swiglu", [False, True])
def test_small_ones_of_both_kinds(tmp_path, swiglu):
    """Two blocks, with the gated layers of ViT-g and without, from both published layouts."""
    hub = random_state_dict(dinov2_hub_shapes(192, 2, swiglu))
    like = "vit_giant_patch14_dinov2" if swiglu else "vit_small_patch14_dinov2"
    inputs = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = timm_network(like, hub, metas_positions, embed_dim=192, depth=2, num_heads=3)(inputs)
    metas = metas_layout(hub)
    assert metas["pos_embed"].shape[1] == 1370 and "mask_token" in metas
    save_file(hub, tmp_path / "model.safetensors")
    torch.save(metas, tmp_path / "dinov2_pretrain.pth")
    found = [small(192, 2, swiglu)(path).run(inputs, ["cls"])["cls"] for path in sorted(tmp_path.iterdir())]
    assert torch.equal(*found)
    error = relative(found[0], expected)
    print(error)
    assert error <= TOLERANCE
    if swiglu:
        # Negative control: gates and values swapped.
        for name, value in hub.items():
            if "weights_in" in name:
                hub[name] = torch.cat(value.chunk(2)[::-1])
        with torch.no_grad():
            swapped = timm_network(like, hub, metas_positions, embed_dim=192, depth=2, num_heads=3)(inputs)
        assert relative(found[0], swapped) > 100 * TOLERANCE


@pytest.mark.parametrize("layout", [dict, metas_layout])
@pytest.mark.parametrize("name", DINOV2_SIZES)
def test_every_size_takes_both_layouts(name, layout):
    """On the meta device: names and shapes alone."""
    kind = next(kind for kind in ours._DINOv2Extractor.__subclasses__() if getattr(kind, "name", "") == name)
    with torch.device("meta"):
        shapes = dinov2_hub_shapes(*DINOV2_SIZES[name], swiglu="vitg" in name)
        hub = {key: torch.empty(shape) for key, shape in shapes.items()}
        state = kind.relabelled(object.__new__(kind), layout(hub))
        expected = {key: value.shape for key, value in kind.make().state_dict().items()}
    assert {key: value.shape for key, value in state.items()} == expected


def test_releases_whose_modules_have_the_hubs_names(monkeypatch):
    """Older releases of the library name everything as the files do."""
    hub = random_state_dict(dinov2_hub_shapes(64, 1))
    kind = small(64, 1)
    monkeypatch.setattr(kind, "make", classmethod(lambda cls: SimpleNamespace(state_dict=lambda: hub)))
    state = kind.relabelled(object.__new__(kind), metas_layout(hub))
    assert state.keys() == hub.keys() - {"embeddings.mask_token"}
    assert torch.equal(
        state["encoder.layer.0.attention.attention.key.weight"], hub["encoder.layer.0.attention.attention.key.weight"]
    )


def test_nothing_is_said_and_nothing_is_asked_of_the_hub(tmp_path, capfd, caplog):
    save_file(random_state_dict(dinov2_hub_shapes(64, 1)), tmp_path / "model.safetensors")
    small(64, 1)(tmp_path / "model.safetensors").run(torch.zeros(1, 3, 224, 224), ["cls"])
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_without_the_library(monkeypatch, hub_file):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DependencyError, match=r"'dinov2-vits14\.lvd142m' needs .*pip install 'genmetrics\[hf\]'"):
        ours.DINOv2ViTS.make()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"transformers \(it is not installed\)"):
        ours.DINOv2ViTS.locate(None)


def test_another_size_is_refused(hub_file):
    with pytest.raises(WeightsError, match=r"do not fit extractor 'dinov2-vitb14\.lvd142m' \("):
        load_extractor("dinov2-vitb14.lvd142m", hub_file)


def test_a_missing_third_is_noticed():
    state = random_state_dict(dinov2_hub_shapes(64, 1))
    del state["encoder.layer.0.attention.attention.key.weight"]
    kind = small(64, 1)
    state = kind.relabelled(object.__new__(kind), state)
    with pytest.raises(WeightsError, match=r"missing encoder\.layer\.0\.attention\.k_proj\.weight\)"):
        fresh_module(kind.make, state, Path("x"), NAME)
