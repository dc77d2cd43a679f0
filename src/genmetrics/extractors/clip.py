"""CLIP of OpenAI, an image tower and a text tower in the same space: the networks are the transformers library's.

The pinned files are those of the Hugging Face hub; OpenAI's own, TorchScript archives of which only the weights are
read, hold the same weights in half precision, in which they were published.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from genmetrics.extractors.captions import CaptionExtractor
from genmetrics.extractors.clip_tokens import BEGIN, CONTEXT, END, NUM_TOKENS, CaptionTokens, load_tokenizer
from genmetrics.extractors.layouts import relabel
from genmetrics.extractors.on_transformers import TransformersExtractor, without_transformers
from genmetrics.extractors.weights import fresh_module, load_state_dict
from genmetrics.precision import computing_at
from genmetrics.types import BackendChoice, Precision

__all__ = ["CLIPSizes", "CLIPViTB16", "CLIPViTB32", "CLIPViTL14", "CLIPViTL14At336"]

_HEAD_WIDTH = 64
_TEXT_DEPTH = 12
#: Captions that go through the text tower at once.
_CAPTIONS = 256

_OPENAI_BLOCK, _BLOCK = r"(visual\.)?transformer\.resblocks\.(\d+)\.", r"\1encoder.layers.\2"
# Numbers that the files hold beside the weights, and the blocks of both towers, whose names keep OpenAI's beginning.
_BLOCKS_FROM_OPENAI = (
    (r".*position_ids|logit_scale|input_resolution|context_length|vocab_size", ()),
    (
        rf"{_OPENAI_BLOCK}attn\.in_proj_(.*)",
        tuple(rf"{_BLOCK}.self_attn.{part}_proj.\3" for part in ("q", "k", "v")),
    ),
    (rf"{_OPENAI_BLOCK}attn\.out_proj\.(.*)", (rf"{_BLOCK}.self_attn.out_proj.\3",)),
    (rf"{_OPENAI_BLOCK}ln_([12])\.(.*)", (rf"{_BLOCK}.layer_norm\3.\4",)),
    (rf"{_OPENAI_BLOCK}mlp\.c_fc\.(.*)", (rf"{_BLOCK}.mlp.fc1.\3",)),
    (rf"{_OPENAI_BLOCK}mlp\.c_proj\.(.*)", (rf"{_BLOCK}.mlp.fc2.\3",)),
)
_FROM_OPENAI = (
    (r"visual\.(encoder\..*)", (r"vision_model.\1",)),
    (r"(encoder\..*)", (r"text_model.\1",)),
    (r"visual\.class_embedding", ("vision_model.embeddings.class_embedding",)),
    (r"visual\.conv1\.(.*)", (r"vision_model.embeddings.patch_embedding.\1",)),
    (r"visual\.positional_embedding", ("vision_model.embeddings.position_embedding.weight",)),
    (r"visual\.ln_pre\.(.*)", (r"vision_model.pre_layrnorm.\1",)),
    (r"visual\.ln_post\.(.*)", (r"vision_model.post_layernorm.\1",)),
    (r"visual\.proj", ("visual_projection.weight",)),
    (r"token_embedding\.(.*)", (r"text_model.embeddings.token_embedding.\1",)),
    (r"positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    (r"ln_final\.(.*)", (r"text_model.final_layer_norm.\1",)),
    (r"text_projection", ("text_projection.weight",)),
)


class CLIPSizes(NamedTuple):
    """The sizes of a CLIP.

    Attributes:
        side: height and width of the images.
        patch: of a patch.
        width: of a token of the image tower.
        depth: how many blocks that has.
        text_width: of a token of the text tower.
        embedding: of what both give.
    """

    side: int
    patch: int
    width: int
    depth: int
    text_width: int
    embedding: int


class _CLIPExtractor(TransformersExtractor, CaptionExtractor):
    """Both towers of a published CLIP; that of texts is built when the first caption comes.

    Its one feature is ``embedding``: the projected class token, not normalised.

    Source: Radford et al. 2021 (arXiv:2103.00020).
    Matches: ``clip.model`` of openai-clip 1.0.1 in float32, within 1e-5 relative;
    tests/conformance/test_networks_clip.py.
    """

    sizes: CLIPSizes

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        _number_positions(self.network)
        self._text: nn.Module | None = None
        self._tokenizer: CaptionTokens | None = None

    @classmethod
    def make(cls) -> nn.Module:
        """The image tower, with any weights."""
        try:
            from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
        except ImportError as error:
            raise without_transformers(f"extractor {cls.name!r}", error) from error
        sizes = cls.sizes
        config = CLIPVisionConfig(
            hidden_size=sizes.width,
            intermediate_size=4 * sizes.width,
            num_hidden_layers=sizes.depth,
            num_attention_heads=sizes.width // _HEAD_WIDTH,
            projection_dim=sizes.embedding,
            image_size=sizes.side,
            patch_size=sizes.patch,
            hidden_act="quick_gelu",
        )
        network: nn.Module = CLIPVisionModelWithProjection(config)
        return network

    @classmethod
    def make_text(cls) -> nn.Module:
        """The text tower, with any weights."""
        try:
            from transformers import CLIPTextConfig, CLIPTextModelWithProjection
        except ImportError as error:
            raise without_transformers(f"extractor {cls.name!r}", error) from error
        sizes = cls.sizes
        config = CLIPTextConfig(
            vocab_size=NUM_TOKENS,
            hidden_size=sizes.text_width,
            intermediate_size=4 * sizes.text_width,
            num_hidden_layers=_TEXT_DEPTH,
            num_attention_heads=sizes.text_width // _HEAD_WIDTH,
            projection_dim=sizes.embedding,
            max_position_embeddings=CONTEXT,
            bos_token_id=BEGIN,
            # The first token of this number stands for the caption.
            eos_token_id=END,
            hidden_act="quick_gelu",
        )
        network: nn.Module = CLIPTextModelWithProjection(config)
        return network

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The image tower of either published layout, in the hub's names."""
        return _tower(state, text=False)

    def forward(
        self, inputs: Float32[Tensor, "n 3 side side"], wanted: Collection[str]
    ) -> dict[str, Float[Tensor, "n _"]]:
        return dict.fromkeys(wanted, self.network(pixel_values=inputs).image_embeds)

    def to(self, device: torch.device, precision: Precision, backend: BackendChoice = "auto") -> None:
        """Move both towers to a device and choose how exactly they compute."""
        super().to(device, precision, backend)
        if self._text is not None:
            self._text.to(device)

    def caption_embeddings(self, texts: Sequence[str]) -> Float32[Tensor, "n d"]:
        """The projected embeddings of captions, not normalised; see ``CaptionExtractor``."""
        tokens, _ = self._tokens(texts)
        text = self._text_tower()
        parts = [tokens[start : start + _CAPTIONS] for start in range(0, len(tokens), _CAPTIONS)]
        with torch.inference_mode(), computing_at(self.precision, self.device):
            found = [text(input_ids=part.to(self.device)).text_embeds.to(torch.float32) for part in parts]
        return torch.cat(found) if found else torch.empty((0, self.sizes.embedding), device=self.device)

    def truncated(self, texts: Sequence[str]) -> list[int]:
        """The positions of captions of more than 77 tokens, whose ends are left out."""
        return self._tokens(texts)[1]

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer()
        return self._tokenizer(texts)

    def _text_tower(self) -> nn.Module:
        if self._text is None:
            path = self.weights.path
            state = _tower(load_state_dict(path, self.name), text=True)
            text = fresh_module(self.make_text, state, path, self.name)
            _number_positions(text)
            self._text = text.to(self.device)
        return self._text


def _tower(state: dict[str, Tensor], text: bool) -> dict[str, Tensor]:
    """One tower of either layout, in the hub's names; a name that neither layout has belongs to that of images."""
    # OpenAI's projections multiply from the other side than the hub's, which are linear layers.
    turned = {name: state[name].T.contiguous() for name in ("visual.proj", "text_projection") if name in state}
    state = relabel(relabel(state | turned, _BLOCKS_FROM_OPENAI), _FROM_OPENAI)
    return {name: value for name, value in state.items() if name.startswith("text") == text}


def _number_positions(network: nn.Module) -> None:
    """Fill the buffers that number the tokens of a row, which no file holds."""
    buffers: list[tuple[str, Tensor]] = list(network.named_buffers())
    for name, buffer in buffers:
        owner, _, own_name = name.rpartition(".")
        setattr(network.get_submodule(owner), own_name, torch.arange(buffer.shape[-1]).expand(buffer.shape))


class CLIPViTB32(_CLIPExtractor):
    """CLIP ViT-B/32, the network of CLIP-FID and CLIPScore."""

    name = "clip-vit-b32.openai"
    sizes = CLIPSizes(224, 32, 768, 12, 512, 512)


class CLIPViTB16(_CLIPExtractor):
    """CLIP ViT-B/16."""

    name = "clip-vit-b16.openai"
    sizes = CLIPSizes(224, 16, 768, 12, 512, 512)


class CLIPViTL14(_CLIPExtractor):
    """CLIP ViT-L/14."""

    name = "clip-vit-l14.openai"
    sizes = CLIPSizes(224, 14, 1024, 24, 768, 768)


class CLIPViTL14At336(_CLIPExtractor):
    """CLIP ViT-L/14 at 336 pixels, the network of CMMD."""

    name = "clip-vit-l14-336.openai"
    sizes = CLIPSizes(336, 14, 1024, 24, 768, 768)
