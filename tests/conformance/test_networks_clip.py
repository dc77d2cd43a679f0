"""CLIP, whose networks and tokens are the transformers library's, against openai-clip 1.0.1's own code.

Both have the same random weights. Tolerance: 1e-5 relative (Euclidean, per image or caption). Tokens: equal numbers on
texts that OpenAI's code leaves as they are. Reached with torch 2.13.0 and transformers 5.24.0 on a CPU: 6.1e-7 of
images, 5.0e-7 of captions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.errors import DependencyError, MissingWeightsError, WeightsError
from genmetrics.extractors import clip as ours
from genmetrics.extractors import clip_tokens as tokens
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.captions import CaptionExtractor
from support.openai_clip import openai_b32, openai_module, openai_tokens, openais_layout, save_archive
from support.peers import import_peer
from support.weights import CLIP_SIZES, clip_hub_shapes, random_state_dict

open_clip_tokenizer = import_peer("open_clip.tokenizer")
pytest.importorskip(
    "transformers", reason="transformers is not installed; install it with pip install 'genmetrics[hf]'"
)

NAME = "clip-vit-b32.openai"
TOLERANCE = 1e-5
CAPTIONS = [
    "a photo of a cat",
    "A photo depicts two dogs, 12 birds & a  horse's  tail!!",
    "it's we've I'd they'll 'TWAS don't",
    'straight "quotes" – dashes — and … ellipses; café naïve Zürich',
    "Ünïcödé ÅÄÖ ² ½ ٣ Ⅷ 日本語 русский язык عربى",
    "emoji 😀👍🏽 and tabs\tand\nlines <|endoftext|> inside",
    "",
    "word " * 100,
    "word " * 75,
    "supercalifragilisticexpialidocious antidisestablishmentarianism x2y3z",
]
#: Texts that OpenAI's code mends before it splits them, which the library does not.
MENDED = [
    "“curly quotes”",
    "a dog’s tail",
    "ﬁne ligatures",
    "salt &amp; pepper",
    "&amp;amp; &lt;b&gt;bold&lt;/b&gt;",
    "mojibake: sÃ© and â€œquotesâ€\x9d",
]


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
    return openai_b32(hub_file)


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
    with torch.no_grad():
        expected = openai.encode_text(openai_tokens(CAPTIONS))
    found = extractor.caption_embeddings(CAPTIONS)
    error = relative(found, expected)
    print(error)
    assert error <= TOLERANCE
    assert relative(found[:1], found[1:2]) > 100 * TOLERANCE
    assert extractor.truncated(CAPTIONS) == [CAPTIONS.index("word " * 100)]
    assert extractor.caption_embeddings([]).shape == (0, 512)


@pytest.mark.parametrize("text", CAPTIONS)
def test_tokens(text):
    found, theirs = tokens.load_tokenizer(), openai_module("simple_tokenizer").SimpleTokenizer()
    assert found.encode(text) == [tokens.BEGIN, *theirs.encode(text), tokens.END]
    # open_clip spells out the marks that begin and end a caption where they stand in a text, and fills up with zeros.
    if "<|" not in text:
        (row,), _ = found([text])
        (expected,) = open_clip_tokenizer.SimpleTokenizer()([text])
        end = expected.tolist().index(tokens.END)
        assert row[: end + 1].tolist() == expected[: end + 1].tolist()
        assert set(row[end:].tolist()) == {tokens.END}
    assert found.encode(f"{text} x") != [tokens.BEGIN, *theirs.encode(f"{text} y"), tokens.END]


@pytest.mark.parametrize("text", MENDED)
def test_tokens_of_texts_that_openai_mends(text):
    """What differs is the mending alone."""
    found, theirs = tokens.load_tokenizer(), openai_module("simple_tokenizer")
    expected = [tokens.BEGIN, *theirs.SimpleTokenizer().encode(text), tokens.END]
    assert found.encode(text) != expected
    assert found.encode(theirs.basic_clean(text)) == expected


def test_tokens_of_random_texts():
    found, theirs = tokens.load_tokenizer(), openai_module("simple_tokenizer").SimpleTokenizer()
    rng = np.random.RandomState(0)
    letters = "abcdefghij klmnopqr stuvwxyz ABC 0123456789 .,;:!?'\"-()/&#@ éüñ漢字🙂<|>"
    for _ in range(100):
        text = "".join(rng.choice(list(letters), rng.randint(1, 60)))
        assert found.encode(text) == [tokens.BEGIN, *theirs.encode(text), tokens.END], text


def small(sizes: ours.CLIPSizes) -> type[ours._CLIPExtractor]:
    return type("Small", (ours._CLIPExtractor,), {"name": NAME, "sizes": sizes})


@pytest.mark.parametrize("layout", [dict, openais_layout])
@pytest.mark.parametrize("name", CLIP_SIZES)
def test_every_size_takes_both_layouts(name, layout):
    """On the meta device: names and shapes alone."""
    kind = next(kind for kind in ours._CLIPExtractor.__subclasses__() if getattr(kind, "name", "") == name)
    assert tuple(kind.sizes) == CLIP_SIZES[name]
    with torch.device("meta"):
        hub = layout({key: torch.empty(shape) for key, shape in clip_hub_shapes(*CLIP_SIZES[name]).items()})
        vision = kind.relabelled(object.__new__(kind), hub)
        for state, network in ((vision, kind.make()), (ours._tower(hub, text=True), kind.make_text())):
            assert {key: value.shape for key, value in state.items()} == {
                key: value.shape for key, value in network.state_dict().items()
            }


def test_openais_own_layout(monkeypatch, tmp_path):
    """With the numbers that stand beside the weights, and in half precision, as OpenAI's files hold it."""
    sizes = ours.CLIPSizes(64, 16, 128, 1, 64, 32)
    monkeypatch.setattr(ours, "_TEXT_DEPTH", 1)
    hub = random_state_dict(clip_hub_shapes(*sizes, text_depth=1))
    state = openais_layout(hub)
    numbers = {"input_resolution": torch.tensor(224), "context_length": torch.tensor(77), "vocab_size": torch.tensor(1)}
    torch.save(hub, tmp_path / "hub.pth")
    torch.save(state | numbers, tmp_path / "full.pth")
    torch.save({name: value.half() for name, value in state.items()} | numbers, tmp_path / "half.pth")
    full, half, of_hub = (small(sizes)(tmp_path / f"{name}.pth") for name in ("full", "half", "hub"))
    inputs = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for network in (
        lambda extractor: extractor.run(inputs, ["embedding"])["embedding"],
        lambda extractor: extractor.caption_embeddings(CAPTIONS[:2]),
    ):
        assert torch.equal(network(full), network(of_hub))
        assert 0 < relative(network(half), network(of_hub)) < 0.01


def test_nothing_is_said(monkeypatch, tmp_path, capfd, caplog):
    """Nor is the text tower built before a caption comes."""
    sizes = ours.CLIPSizes(64, 16, 128, 1, 64, 32)
    monkeypatch.setattr(ours, "_TEXT_DEPTH", 1)
    torch.save(random_state_dict(clip_hub_shapes(*sizes, text_depth=1)), tmp_path / "hub.pth")
    extractor = small(sizes)(tmp_path / "hub.pth")
    extractor.run(torch.zeros(1, 3, 64, 64), ["embedding"])
    assert extractor._text is None
    extractor.caption_embeddings(CAPTIONS)
    assert extractor._text is not None
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for build, what in (
        (ours.CLIPViTB32.make, r"'clip-vit-b32\.openai'"),
        (ours.CLIPViTB32.make_text, r"'clip-vit-b32\.openai'"),
        (tokens.load_tokenizer, "a caption"),
    ):
        with pytest.raises(DependencyError, match=rf"{what} needs .*pip install 'genmetrics\[hf\]'"):
            build()


def test_openais_own_archive(extractor, hub_file, images, tmp_path):
    """In half precision, as it is published; the numbers are those of the hub's file rounded to that."""
    state = {name: value for name, value in openais_layout(torch.load(hub_file)).items() if not name.startswith("t")}
    path = tmp_path / "ViT-B-32.pt"
    save_archive(state, path)
    archived = load_extractor(NAME, path)
    rounded = {name: value.half().float() for name, value in state.items()}
    torch.save(rounded, tmp_path / "rounded.pth")
    found = archived(images, ["embedding"])["embedding"]
    assert torch.equal(found, load_extractor(NAME, tmp_path / "rounded.pth")(images, ["embedding"])["embedding"])
    error = relative(found, extractor(images, ["embedding"])["embedding"])
    assert 0 < error < 0.05
    assert archived.weights.official is False


class TestVocabulary:
    def test_nowhere(self, monkeypatch, tmp_path):
        from dataclasses import replace

        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        nowhere = dict.fromkeys(tokens.VOCABULARY.urls, "http://127.0.0.1:9/x")
        missing = replace(tokens.VOCABULARY, packaged=None, urls=nowhere)
        monkeypatch.setattr(tokens, "VOCABULARY", missing)
        with pytest.raises(MissingWeightsError, match=r"captions need CLIP's vocabulary bpe_simple_vocab_16e6"):
            tokens.load_tokenizer()

    def test_damaged(self, tmp_path):
        (tmp_path / "vocabulary.gz").write_bytes(b"nothing")
        with pytest.raises(WeightsError, match="cannot be read"):
            tokens.CaptionTokens(tmp_path / "vocabulary.gz")
