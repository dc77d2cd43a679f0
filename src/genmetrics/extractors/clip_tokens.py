"""CLIP's byte-pair tokens: the transformers library's, with the vocabulary file that OpenAI publishes with its code."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.errors import MissingWeightsError, WeightsError
from genmetrics.extractors.on_transformers import without_transformers
from genmetrics.extractors.published import file_in_package
from genmetrics.extractors.weights import PublishedWeights, fetch_weights, find_weights, search_folders

__all__ = ["BEGIN", "CONTEXT", "END", "NUM_TOKENS", "VOCABULARY", "CaptionTokens", "load_tokenizer"]

#: How many tokens the network reads, the two that begin and end a caption among them.
CONTEXT = 77
NUM_TOKENS = 49408
#: The numbers of the tokens that begin and end a caption, the last of all.
BEGIN, END = NUM_TOKENS - 2, NUM_TOKENS - 1
_NAME = "bpe_simple_vocab_16e6.txt.gz"
_NUM_MERGES = 49152 - 256 - 2
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


def load_tokenizer() -> CaptionTokens:
    """The tokenizer with the published vocabulary, which is found or fetched as weights are.

    Raises:
        DependencyError: if the package transformers is not installed.
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
    return CaptionTokens(found.path)


class CaptionTokens:
    """Text as the numbers that CLIP's text tower takes.

    Matches: ``clip.simple_tokenizer`` of openai-clip 1.0.1 and open_clip 3.3.0, number for number, on texts that those
    leave as they are before they split them; tests/conformance/test_networks_clip.py. They mend broken text with ftfy,
    which also straightens curly quotes and parts ligatures, and unescape HTML (``&amp;``); the library does neither.
    """

    def __init__(self, vocabulary: Path) -> None:
        """Read a vocabulary file.

        Args:
            vocabulary: gzipped lines of two pieces that are joined, after a first line that is none.

        Raises:
            DependencyError: if the package transformers is not installed.
            WeightsError: if the file is damaged.
        """
        try:
            from transformers import CLIPTokenizer
        except ImportError as error:
            raise without_transformers("a caption", error) from error
        try:
            lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[1 : _NUM_MERGES + 1]
            merges: Any = [(first, second) for first, second in (line.split() for line in lines)]
        except (OSError, EOFError, ValueError) as error:
            raise WeightsError(f"CLIP's vocabulary '{vocabulary}' cannot be read: {error}; delete it") from error
        letters = _letters()
        pieces = [*letters, *(letter + _END_OF_WORD for letter in letters), *(a + b for a, b in merges), *_SPECIAL]
        self._tokenizer = CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=merges)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, with those that begin and end it, however many."""
        # One text at a time: the library's threads for many would warn whoever forks afterwards.
        numbers: list[int] = self._tokenizer.encode(text)
        return numbers

    def __call__(self, texts: Sequence[str]) -> tuple[Int64[Tensor, "n 77"], list[int]]:
        """Texts as rows of numbers, and the positions of those that were cut to fit.

        Args:
            texts: any; a row holds its begin, its numbers and its end, which is repeated to the row's end. Of one that
                is too long the last number that fits is replaced by the end.
        """
        rows = torch.full((len(texts), CONTEXT), END)
        cut = []
        for position, text in enumerate(texts):
            numbers = self.encode(text)
            if len(numbers) > CONTEXT:
                cut.append(position)
            kept = numbers[: CONTEXT - 1]
            rows[position, : len(kept)] = torch.tensor(kept)
        return rows, cut


def _letters() -> list[str]:
    """A visible letter for each byte, in the vocabulary's order: first those that have one, then others' stand-ins."""
    printable = [chr(byte) for first, last in ("!~", "¡¬", "®ÿ") for byte in range(ord(first), ord(last) + 1)]
    return printable + [chr(256 + number) for number in range(256 - len(printable))]
