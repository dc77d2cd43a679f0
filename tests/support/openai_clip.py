"""OpenAI's own CLIP code, as the package openai-clip 1.0.1 has it, with weights of the hub's layout."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from genmetrics.extractors.published import file_in_package

__all__ = ["openai_b32", "openai_module", "openai_tokens", "openais_layout", "save_archive"]


def openai_module(name: str) -> ModuleType:
    """A file of openai-clip, whose package asks for what newer setuptools lack."""
    path = file_in_package("clip", f"{name}.py")
    if path is None:
        pytest.skip("openai-clip 1.0.1 is not installed; install the peers with pip install 'genmetrics[peers]'")
    spec = importlib.util.spec_from_file_location(f"openai_clip_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def openais_layout(hub: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file of the hub as OpenAI's code holds them."""
    new = {
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "vision_model.embeddings.patch_embedding": "visual.conv1",
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.embeddings.": "",
        "text_model.final_layer_norm": "ln_final",
        "visual_projection.weight": "visual.proj",
        "text_projection.weight": "text_projection",
        "text_model.encoder.layers": "transformer.resblocks",
        "vision_model.encoder.layers": "visual.transformer.resblocks",
        "vision_model.pre_layrnorm": "visual.ln_pre",
        "vision_model.post_layernorm": "visual.ln_post",
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm": "ln_",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    state = {}
    for name, value in hub.items():
        if "position_ids" in name or ".k_proj." in name or ".v_proj." in name:
            continue
        key, tensor = name, value.T.contiguous() if "projection" in name else value
        if ".q_proj." in name:
            tensor = torch.cat([hub[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            key = name.replace("self_attn.q_proj.", "attn.in_proj_")
        for old, replacement in new.items():
            key = key.replace(old, replacement)
        state[key] = tensor
    return state


def openai_b32(hub_file: Path) -> torch.nn.Module:
    """OpenAI's ViT-B/32 in float32 with the weights of a file of the hub."""
    state = openais_layout(torch.load(hub_file))
    with torch.device("meta"):
        network = openai_module("model").CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)
    mask = network.build_attention_mask
    network.load_state_dict(state, assign=True)
    for block in network.transformer.resblocks:
        block.attn_mask = mask()
    return network.eval()


def openai_tokens(texts: Sequence[str]) -> Tensor:
    """What ``clip.tokenize(texts, truncate=True)`` gives, (n, 77) int64."""
    tokenizer = openai_module("simple_tokenizer").SimpleTokenizer()
    begin, end = (tokenizer.encoder[name] for name in ("<|startoftext|>", "<|endoftext|>"))
    tokens = torch.zeros(len(texts), 77, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        numbers = [begin, *tokenizer.encode(text), end]
        numbers = numbers if len(numbers) <= 77 else [*numbers[:76], end]
        row[: len(numbers)] = torch.tensor(numbers)
    return tokens


def save_archive(state: dict[str, Tensor], path: Path) -> None:
    """Write weights in OpenAI's layout as OpenAI wrote its own: a TorchScript archive in half precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(_Part(state).half(), torch.ones(1)), path)


class _Part(torch.nn.Module):
    """Parameters by dotted names, in modules within modules."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        inner: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            first, dot, rest = name.partition(".")
            if dot:
                inner.setdefault(first, {})[rest] = value
            else:
                self.register_parameter(first, torch.nn.Parameter(value, requires_grad=False))
        for name, part in inner.items():
            self.add_module(name, _Part(part))

    def forward(self, x: Tensor) -> Tensor:
        return x
