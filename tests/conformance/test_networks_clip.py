"""Our CLIP against openai-clip 1.0.1's own code and the transformers library, with the same random weights.

Tolerance: 1e-5 relative (Euclidean, per image or caption). Tokens: equal numbers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.errors import DependencyError, MissingWeightsError, WeightsError
from genmetrics.extractors import clip as ours
from genmetrics.extractors import clip_tokens
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.captions import CaptionExtractor
from genmetrics.extractors.published import file_in_package
from support.peers import import_peer
from support.weights import CLIP_SIZES, clip_hub_shapes, random_state_dict

open_clip_tokenizer = import_peer("open_clip.tokenizer")
transformers = import_peer("transformers")

NAME = "clip-vit-b32.openai"
TOLERANCE = 1e-5
CAPTIONS = [
    "a photo of a cat",
    "A photo depicts two dogs, 12 birds & a  horse's  tail!!",
    "it's we've I'd they'll 'TWAS don't",
    "“Curly quotes” – dashes — and … ellipses; café naïve Zürich",
    "Ünïcödé ÅÄÖ ﬁne ligatures ² ½ ٣ Ⅷ 日本語 русский язык عربى",
    "emoji 😀👍🏽 and tabs\tand\nlines  &amp;amp; &lt;b&gt;bold&lt;/b&gt; <|endoftext|> inside",
    "mojibake: sÃ© and â€œquotesâ€\x9d",
    "",
    "word " * 100,
    "supercalifragilisticexpialidocious antidisestablishmentarianism x2y3z",
]


def openai_module(name: str) -> ModuleType:
    """A file of openai-clip, whose package asks for what newer setuptools lack."""
    path = file_in_package("clip", f"{name}.py")
    if path is None:
        pytest.skip("openai-clip 1.0.1 is not installed; install the peers with pip install 'genmetrics[peers]'")
    spec = importlib.util.spec_from_file_location(f"openai_clip_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hub_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "pytorch_model.bin"
    torch.save(random_state_dict(clip_hub_shapes(*CLIP_SIZES[NAME])), path)
    return path


@pytest.fixture(scope="module")
def extractor(hub_file: Path) -> ours.CLIPViTB32:
    return load_extractor(NAME, hub_file)


@pytest.fixture(scope="module")
def openai(hub_file: Path) -> torch.nn.Module:
    """OpenAI's own network in float32 with the same weights in OpenAI's layout."""
    state = ours._openai_layout(torch.load(hub_file)) | {"logit_scale": torch.tensor(1.0)}
    with torch.device("meta"):
        network = openai_module("model").CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)
    mask = network.build_attention_mask
    network.load_state_dict(state, assign=True)
    for block in network.transformer.resblocks:
        block.attn_mask = mask()
    return network.eval()


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    return torch.from_numpy(smooth_images(2, 130, 90, seed=0)).permute(0, 3, 1, 2).contiguous()


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape and found.dtype == expected.dtype == torch.float32
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


def test_images_are_openais(extractor, openai, images):
    inputs = extractor.preprocess(images)
    with torch.no_grad():
        expected = openai.encode_image(inputs)
    found = extractor(images, ["embedding"])["embedding"]
    error = relative(found, expected)
    print(error)
    assert error <= TOLERANCE
    assert relative(found[:1], found[1:]) > 100 * TOLERANCE
    assert abs(float(found.norm(dim=1)[0]) - 1) > 0.01, "not normalised"


def test_the_exact_gelu_is_told_apart(extractor, openai, images):
    """Negative control."""
    with torch.no_grad():
        for block in openai.visual.transformer.resblocks:
            block.mlp.gelu = torch.nn.GELU()
        other = openai.encode_image(extractor.preprocess(images))
        for block in openai.visual.transformer.resblocks:
            block.mlp.gelu = openai_module("model").QuickGELU()
    assert relative(extractor(images, ["embedding"])["embedding"], other) > 100 * TOLERANCE


def test_captions_are_openais(extractor, openai):
    assert isinstance(extractor, CaptionExtractor)
    tokenizer = openai_module("simple_tokenizer").SimpleTokenizer()
    begin, end = (tokenizer.encoder[name] for name in ("<|startoftext|>", "<|endoftext|>"))
    tokens = torch.zeros(len(CAPTIONS), 77, dtype=torch.int64)
    for row, text in zip(tokens, CAPTIONS, strict=True):
        numbers = [begin, *tokenizer.encode(text), end]
        numbers = numbers if len(numbers) <= 77 else [*numbers[:76], end]
        row[: len(numbers)] = torch.tensor(numbers)
    with torch.no_grad():
        expected = openai.encode_text(tokens)
    found = extractor.caption_embeddings(CAPTIONS)
    error = relative(found, expected)
    print(error)
    assert error <= TOLERANCE
    assert relative(found[:1], found[1:2]) > 100 * TOLERANCE
    assert extractor.truncated(CAPTIONS) == [CAPTIONS.index("word " * 100)]
    assert extractor.caption_embeddings([]).shape == (0, 512)


@pytest.mark.parametrize("text", CAPTIONS)
def test_tokens(text):
    ours_ = clip_tokens.load_tokenizer()
    theirs = openai_module("simple_tokenizer").SimpleTokenizer()
    assert ours_.encode(text) == theirs.encode(text)
    # open_clip spells out the marks that begin and end a caption where they stand in a text.
    if "<|" not in text:
        assert ours_([text])[0].tolist() == open_clip_tokenizer.SimpleTokenizer()([text]).tolist()
    assert ours_.encode(f"{text} x") != theirs.encode(f"{text} y")


def test_tokens_of_random_texts():
    ours_, theirs = clip_tokens.load_tokenizer(), openai_module("simple_tokenizer").SimpleTokenizer()
    rng = np.random.RandomState(0)
    letters = "abcdefghij klmnopqr stuvwxyz ABC 0123456789 .,;:!?'\"-()/&#@ éüñ漢字🙂<|>"
    for _ in range(100):
        text = "".join(rng.choice(list(letters), rng.randint(1, 60)))
        assert ours_.encode(text) == theirs.encode(text), text


def test_transformers(tmp_path, monkeypatch):
    """A small one that the library saves, in the layout of the hub's files."""
    sizes = ours.CLIPSizes(64, 16, 128, 2, 64, 32)
    monkeypatch.setattr(ours, "_TEXT_DEPTH", 1)
    common = {"hidden_act": "quick_gelu", "projection_dim": 32}
    config = transformers.CLIPConfig(
        projection_dim=32,
        vision_config={
            **common,
            "hidden_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 512,
            "image_size": 64,
            "patch_size": 16,
        },
        text_config={
            **common,
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "intermediate_size": 256,
        },
    )
    library = transformers.CLIPModel(config).eval()
    shapes = clip_hub_shapes(*sizes, text_depth=1)
    state = {name: value for name, value in random_state_dict(shapes).items() if "position_ids" not in name}
    library.save_pretrained(tmp_path)
    from safetensors.torch import load_file, save_file

    saved = load_file(tmp_path / "model.safetensors")
    assert {name: tuple(value.shape) for name, value in saved.items()} == {
        name: tuple(value.shape) for name, value in state.items()
    }
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    library = transformers.CLIPModel.from_pretrained(tmp_path).eval()

    class Small(ours._CLIPExtractor):
        name = NAME

    Small.sizes = sizes
    extractor = Small(tmp_path / "model.safetensors")
    inputs = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens, _ = clip_tokens.load_tokenizer()(CAPTIONS[:2])
    with torch.no_grad():
        of_images = library.get_image_features(inputs).pooler_output
        hidden = library.text_model(tokens).last_hidden_state
        of_texts = library.text_projection(hidden[torch.arange(2), tokens.argmax(dim=1)])
    errors = [
        relative(extractor.run(inputs, ["embedding"])["embedding"], of_images),
        relative(extractor.caption_embeddings(CAPTIONS[:2]), of_texts),
    ]
    print(errors)
    assert max(errors) <= TOLERANCE


@pytest.mark.parametrize("name", CLIP_SIZES)
def test_every_size_takes_the_hubs_layout(name):
    """On the meta device: names and shapes alone."""
    kind = next(kind for kind in ours._CLIPExtractor.__subclasses__() if getattr(kind, "name", "") == name)
    assert tuple(kind.sizes) == CLIP_SIZES[name]
    with torch.device("meta"):
        hub = {key: torch.empty(shape) for key, shape in clip_hub_shapes(*CLIP_SIZES[name]).items()}
        vision = kind.relabelled(object.__new__(kind), hub)
        text = {key: value for key, value in ours._openai_layout(hub).items() if not key.startswith("visual.")}
        for state, network in ((vision, kind.make()), (text, ours.CLIPText(kind.sizes))):
            assert {key: value.shape for key, value in state.items()} == {
                key: value.shape for key, value in network.state_dict().items()
            }


def test_openais_own_layout(monkeypatch, tmp_path):
    """With the numbers that stand beside the weights, and in half precision, as OpenAI's files hold it."""
    sizes = ours.CLIPSizes(64, 16, 128, 1, 64, 32)
    monkeypatch.setattr(ours, "_TEXT_DEPTH", 1)

    class Small(ours._CLIPExtractor):
        name = NAME

    Small.sizes = sizes
    hub = random_state_dict(clip_hub_shapes(*sizes, text_depth=1))
    torch.save(hub, tmp_path / "hub.pth")
    state = {name: value.half() for name, value in ours._openai_layout(hub).items()}
    numbers = {"input_resolution": torch.tensor(224), "context_length": torch.tensor(77), "logit_scale": torch.ones(())}
    torch.save(state | numbers, tmp_path / "half.pth")
    inputs = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    half, full = Small(tmp_path / "half.pth"), Small(tmp_path / "hub.pth")
    error = relative(half.run(inputs, ["embedding"])["embedding"], full.run(inputs, ["embedding"])["embedding"])
    assert 0 < error < 0.01
    assert relative(half.caption_embeddings(CAPTIONS[:1]), full.caption_embeddings(CAPTIONS[:1])) < 0.01


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(WeightsError, match=r"it is a TorchScript archive, which is code: give the state dict"):
        load_extractor(NAME, path)


class TestVocabulary:
    def test_without_ftfy(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "ftfy", None)
        with pytest.raises(DependencyError, match=r"pip install 'genmetrics\[captions\]'"):
            clip_tokens.load_tokenizer()

    def test_nowhere(self, monkeypatch, tmp_path):
        from dataclasses import replace

        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        nowhere = dict.fromkeys(clip_tokens.VOCABULARY.urls, "http://127.0.0.1:9/x")
        missing = replace(clip_tokens.VOCABULARY, packaged=None, urls=nowhere)
        monkeypatch.setattr(clip_tokens, "VOCABULARY", missing)
        with pytest.raises(MissingWeightsError, match=r"captions need CLIP's vocabulary bpe_simple_vocab_16e6"):
            clip_tokens.load_tokenizer()

    def test_damaged(self, tmp_path):
        (tmp_path / "vocabulary.gz").write_bytes(b"nothing")
        with pytest.raises(WeightsError, match="cannot be read"):
            clip_tokens.CLIPTokenizer(tmp_path / "vocabulary.gz")
