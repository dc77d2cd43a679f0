"""CLIP's byte-pair tokens, from the vocabulary file that OpenAI publishes with its code."""

from __future__ import annotations

import gzip
import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.errors import DependencyError, MissingWeightsError, WeightsError
from genmetrics.extractors.published import file_in_package
from genmetrics.extractors.weights import PublishedWeights, fetch_weights, find_weights, search_folders

__all__ = ["CONTEXT", "VOCABULARY", "CLIPTokenizer", "load_tokenizer"]

#: How many tokens the network reads, the two that begin and end a caption among them.
CONTEXT = 77
_NAME = "bpe_simple_vocab_16e6.txt.gz"
_NUM_MERGES = 49152 - 256 - 2
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_END_OF_WORD = "</w>"


def _packaged() -> Path | None:
    """In whichever package of CLIP is installed; None if none is."""
    return file_in_package("open_clip", _NAME) or file_in_package("clip", _NAME)


VOCABULARY = PublishedWeights(
    "clip-vocabulary",
    {_NAME: f"https://github.com/openai/CLIP/raw/d05afc436d78f1c48dc0dbf8e5980a9d471f35f6/clip/{_NAME}"},
    "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
    _packaged,
)


def load_tokenizer() -> CLIPTokenizer:
    """The tokenizer with the published vocabulary, which is found or fetched as weights are.

    Raises:
        DependencyError: if the package ftfy is not installed.
        WeightsError: if the vocabulary is missing or refused.
    """
    try:
        found = find_weights(VOCABULARY) or fetch_weights(VOCABULARY)
    except MissingWeightsError as error:
        folder = search_folders()[0]
        raise MissingWeightsError(
            f"captions need CLIP's vocabulary {_NAME}, which is not here and could not be fetched: put it into "
            f"'{folder}' (published at {VOCABULARY.urls[_NAME]}), or install it with 'pip install open_clip_torch'"
        ) from error
    return CLIPTokenizer(found.path)


class CLIPTokenizer:
    """Text as the numbers that CLIP's text tower takes.

    Text is mended by ftfy, unescaped twice, lowered, and cut into words, single digits and runs of other marks; each is
    spelt in bytes, of which pairs are joined in the order of the vocabulary.

    Matches: ``clip.simple_tokenizer`` of openai-clip 1.0.1 and open_clip 3.3.0, number for number;
    tests/conformance/test_networks_clip.py.
    """

    def __init__(self, vocabulary: Path) -> None:
        """Read a vocabulary file.

        Args:
            vocabulary: gzipped lines of two pieces that are joined, after a first line that is none.

        Raises:
            DependencyError: if the package ftfy is not installed.
            WeightsError: if the file is damaged.
        """
        try:
            import ftfy
        except ImportError as error:
            raise DependencyError(
                "captions need the package ftfy, with which CLIP's own code mends text; install it with "
                "\"pip install 'genmetrics[captions]'\""
            ) from error
        self._mend = ftfy.fix_text
        try:
            lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[1 : _NUM_MERGES + 1]
            merges = [(first, second) for first, second in (line.split() for line in lines)]
        except (OSError, EOFError, ValueError) as error:
            raise WeightsError(f"CLIP's vocabulary '{vocabulary}' cannot be read: {error}; delete it") from error
        self._spelling = _byte_letters()
        letters = [self._spelling[byte] for byte in _PRINTABLE + _OTHERS]
        pieces = [*letters, *(letter + _END_OF_WORD for letter in letters), *(a + b for a, b in merges), *_SPECIAL]
        self._ids = {piece: number for number, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._pieces_of = lru_cache(maxsize=1 << 16)(self._split)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, without those that begin and end it."""
        text = html.unescape(html.unescape(self._mend(text)))
        words = _words(" ".join(text.split()).lower())
        return [number for word in words for number in self._pieces_of(word)]

    def __call__(self, texts: Sequence[str]) -> tuple[Int64[Tensor, "n 77"], list[int]]:
        """Texts as rows of numbers, and the positions of those that were cut to fit.

        Args:
            texts: any; a row holds its begin, its numbers, its end and then zeros. Of one that is too long the last
                number that fits is replaced by the end.
        """
        begin, end = (self._ids[name] for name in _SPECIAL)
        rows = torch.zeros((len(texts), CONTEXT), dtype=torch.int64)
        cut = []
        for position, text in enumerate(texts):
            numbers = [begin, *self.encode(text), end]
            if len(numbers) > CONTEXT:
                cut.append(position)
                numbers = [*numbers[: CONTEXT - 1], end]
            rows[position, : len(numbers)] = torch.tensor(numbers)
        return rows, cut

    def _split(self, word: str) -> tuple[int, ...]:
        if word in _SPECIAL:
            return (self._ids[word],)
        pieces = [self._spelling[byte] for byte in word.encode()]
        pieces[-1] += _END_OF_WORD
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self._ranks.get(pair, _NUM_MERGES))
            if best not in self._ranks:
                break
            pieces = list(_with_joined(pieces, best))
        return tuple(self._ids[piece] for piece in pieces)


def _with_joined(pieces: list[str], pair: tuple[str, str]) -> Iterator[str]:
    position = 0
    while position < len(pieces):
        if tuple(pieces[position : position + 2]) == pair:
            yield pair[0] + pair[1]
            position += 2
        else:
            yield pieces[position]
            position += 1


_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]


def _byte_letters() -> dict[int, str]:
    """A visible letter for each byte: itself where it has one, else one from behind the first 256."""
    return {byte: chr(byte) for byte in _PRINTABLE} | {byte: chr(256 + number) for number, byte in enumerate(_OTHERS)}


def _words(text: str) -> Iterator[str]:
    """Special tokens, contractions' ends, runs of letters, single digits, and runs of what is none of these."""
    position = 0
    while position < len(text):
        rest = next((end for end in (*_SPECIAL, *_CONTRACTIONS) if text.startswith(end, position)), None)
        kind = _kind(text[position])
        stop = position + 1
        if rest is not None:
            stop = position + len(rest)
        elif kind in "LO":
            while stop < len(text) and _kind(text[stop]) == kind:
                stop += 1
        if kind != "S" or rest is not None:
            yield text[position:stop]
        position = stop


def _kind(character: str) -> str:
    """``S`` of white space, ``L`` of letters, ``N`` of numbers, ``O`` of everything else."""
    if re.fullmatch(r"\s", character):
        return "S"
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "O"
