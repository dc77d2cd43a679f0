"""Datasets that are read from the Hugging Face hub, by the source kind ``hf``."""

from __future__ import annotations

from genmetrics.errors import SourceError
from genmetrics.sources.base import ImageSource
from genmetrics.sources.datasets import DATASETS

__all__ = ["HUB_TEXTS", "open_celeba", "open_svhn"]

#: What each dataset is on the hub, with ``{split}`` for the split.
HUB_TEXTS = {
    "svhn": "hf:ufldl-stanford/svhn/cropped_digits:{split}",
    "celeba": "hf:flwrlabs/celeba:{split}",
}


def open_svhn(split: str) -> ImageSource:
    """A split of the cropped digits of SVHN."""
    return _open("svhn", split)


def open_celeba(split: str) -> ImageSource:
    """A split of the aligned faces of CelebA."""
    return _open("celeba", split)


def _open(name: str, split: str) -> ImageSource:
    from genmetrics.sources.parse import open_source

    source = open_source(HUB_TEXTS[name].format(split=split))
    expected = DATASETS.get(name).splits[split]
    if len(source) != expected:
        raise SourceError(
            f"'{source.description}' on the hub has {len(source):,} images, and {name}:{split} has {expected:,}; the "
            "repository may have changed: give one that is whole with 'hf:USER/NAME:SPLIT'"
        )
    return source
