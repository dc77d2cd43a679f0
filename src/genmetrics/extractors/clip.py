"""CLIP of OpenAI: an image tower, and a text tower in the same space. Parameters have the names of OpenAI's code.

The pinned files are those of the Hugging Face hub; a state dict in OpenAI's own layout can be given. OpenAI's own files
are TorchScript archives, which are code, and are not loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from genmetrics.extractors.captions import CaptionExtractor
from genmetrics.extractors.clip_tokens import CONTEXT, CLIPTokenizer, load_tokenizer
from genmetrics.extractors.layouts import joined, relabel
from genmetrics.extractors.precision import computing_at
from genmetrics.extractors.published import PublishedExtractor
from genmetrics.extractors.weights import fresh_module, load_state_dict
from genmetrics.types import Precision

__all__ = ["CLIPSizes", "CLIPText", "CLIPViTB16", "CLIPViTB32", "CLIPViTL14", "CLIPViTL14At336", "CLIPVision"]

_HEAD_WIDTH = 64
_NUM_TOKENS = 49408
_TEXT_DEPTH = 12
#: Captions that go through the text tower at once.
_CAPTIONS = 256

_BLOCKS = r"encoder\.layers\.(\d+)\."
_FROM_HUB = (
    (r".*position_ids|logit_scale", ""),
    (r"vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
    (r"vision_model\.embeddings\.patch_embedding\.(.*)", r"visual.conv1.\1"),
    (r"vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
    (r"vision_model\.pre_layrnorm\.(.*)", r"visual.ln_pre.\1"),
    (r"vision_model\.post_layernorm\.(.*)", r"visual.ln_post.\1"),
    (r"visual_projection\.weight", "visual.proj"),
    (r"text_model\.embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"text_model\.final_layer_norm\.(.*)", r"ln_final.\1"),
    (r"text_projection\.weight", "text_projection"),
    (rf"vision_model\.({_BLOCKS}.*)", r"visual.transformer.\1"),
    (rf"text_model\.({_BLOCKS}.*)", r"transformer.\1"),
)
_BLOCKS_FROM_HUB = (
    (rf"(.*){_BLOCKS}self_attn\.([qkv])_proj\.(.*)", r"\1resblocks.\2.attn.\3.\4"),
    (rf"(.*){_BLOCKS}self_attn\.out_proj\.(.*)", r"\1resblocks.\2.attn.out_proj.\3"),
    (rf"(.*){_BLOCKS}layer_norm([12])\.(.*)", r"\1resblocks.\2.ln_\3.\4"),
    (rf"(.*){_BLOCKS}mlp\.fc1\.(.*)", r"\1resblocks.\2.mlp.c_fc.\3"),
    (rf"(.*){_BLOCKS}mlp\.fc2\.(.*)", r"\1resblocks.\2.mlp.c_proj.\3"),
)
# Numbers that OpenAI's files hold beside the weights.
_OF_OPENAI = ((r"input_resolution|context_length|vocab_size|logit_scale", ""),)


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


class CLIPVision(nn.Module):
    """CLIP's image tower, a vision transformer.

    Source: Radford et al. 2021 (arXiv:2103.00020).
    Matches: ``clip.model`` of openai-clip 1.0.1 in float32, within 1e-5 relative;
    tests/conformance/test_networks_clip.py.
    """

    def __init__(self, sizes: CLIPSizes) -> None:
        super().__init__()
        width = sizes.width
        self.conv1 = nn.Conv2d(3, width, sizes.patch, stride=sizes.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty((sizes.side // sizes.patch) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Transformer(width, sizes.depth, causal=False)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, sizes.embedding))

    def forward(
        self, inputs: Float32[Tensor, "n 3 side side"], wanted: Iterable[str]
    ) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs.

        Args:
            inputs: float32 images of the network's size, normalised with CLIP's mean and deviation.
            wanted: ``embedding``: the projected class token, not normalised.

        Returns:
            (n, d) for each wanted output; float32 but under autocast.
        """
        patches = self.conv1(inputs).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(inputs.shape[0], 1, -1)
        x = self.transformer(self.ln_pre(torch.cat((first, patches), dim=1) + self.positional_embedding))
        return dict.fromkeys(wanted, self.ln_post(x[:, 0]) @ self.proj)


class CLIPText(nn.Module):
    """CLIP's text tower: each token sees those before it, and the last one stands for the caption.

    Matches: as ``CLIPVision``.
    """

    def __init__(self, sizes: CLIPSizes) -> None:
        super().__init__()
        width = sizes.text_width
        self.token_embedding = nn.Embedding(_NUM_TOKENS, width)
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT, width))
        self.transformer = _Transformer(width, _TEXT_DEPTH, causal=True)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, sizes.embedding))

    def forward(self, tokens: Int64[Tensor, "n 77"]) -> Float[Tensor, "n _"]:
        """The projected embedding of each caption, not normalised."""
        x = self.ln_final(self.transformer(self.token_embedding(tokens) + self.positional_embedding))
        # The token that ends a caption has the greatest number.
        last = x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=1)]
        out: Tensor = last @ self.text_projection
        return out


class _Transformer(nn.Module):
    def __init__(self, width: int, depth: int, causal: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([_Block(width, causal) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


class _Block(nn.Module):
    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = _Attention(width, causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        hidden = self.mlp["c_fc"](self.ln_2(x))
        # The quick approximation of GELU that the networks were trained with.
        out: Tensor = x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))
        return out


class _Attention(nn.Module):
    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        self._causal = causal

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        parts = parts.reshape(count, length, 3, width // _HEAD_WIDTH, _HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=self._causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class _CLIPExtractor(PublishedExtractor, CaptionExtractor):
    """Both towers of a published CLIP; that of texts is built when the first caption comes."""

    sizes: CLIPSizes

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self._text: nn.Module | None = None
        self._tokenizer: CLIPTokenizer | None = None

    @classmethod
    def make(cls) -> nn.Module:
        return CLIPVision(cls.sizes)

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The image tower of either published layout, in OpenAI's names."""
        towers = _openai_layout(state)
        return {name.removeprefix("visual."): value for name, value in towers.items() if name.startswith("visual.")}

    def to(self, device: torch.device, precision: Precision) -> None:
        """Move both towers to a device and choose how exactly they compute."""
        super().to(device, precision)
        if self._text is not None:
            self._text.to(device)

    def caption_embeddings(self, texts: Sequence[str]) -> Float32[Tensor, "n d"]:
        """The projected embeddings of captions, not normalised; see ``CaptionExtractor``."""
        tokens, _ = self._tokens(texts)
        text = self._text_tower()
        with torch.inference_mode(), computing_at(self.precision, self.device):
            starts = range(0, tokens.shape[0], _CAPTIONS)
            parts = [text(tokens[start : start + _CAPTIONS].to(self.device)).to(torch.float32) for start in starts]
        return torch.cat(parts) if parts else torch.empty((0, self.sizes.embedding), device=self.device)

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
            state = _openai_layout(load_state_dict(path, self.name))
            state = {name: value for name, value in state.items() if not name.startswith("visual.")}
            self._text = fresh_module(lambda: CLIPText(self.sizes), state, path, self.name).to(self.device)
        return self._text


def _openai_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if not any(name.startswith(("vision_model.", "text_model.")) for name in state):
        return relabel(state, _OF_OPENAI)
    state = relabel(relabel(state, _FROM_HUB), _BLOCKS_FROM_HUB)
    # The hub's projections are linear layers, which multiply from the other side.
    turned = {name: state[name].T.contiguous() for name in ("visual.proj", "text_projection") if name in state}
    return joined(state | turned, ".in_proj_")


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
