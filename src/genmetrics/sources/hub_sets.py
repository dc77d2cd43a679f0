"""Datasets that are read from the Hugging Face hub, by the source kind ``hf``."""

from __future__ import annotations

from genmetrics.sources.base import ImageSource

__all__ = ["HUB_TEXTS", "open_celeba", "open_svhn"]

#: What each dataset is on the hub, with ``{split}`` for the split.
HUB_TEXTS = {
    "svhn": "hf:ufldl-stanford/svhn?name=cropped_digits&split={split}",
    "celeba": "hf:flwrlabs/celeba?split={split}",
}


def open_svhn(split: str) -> ImageSource:
    """A split of the cropped digits of SVHN."""
    return _open("svhn", split)


def open_celeba(split: str) -> ImageSource:
    """A split of the aligned faces of CelebA."""
    return _open("celeba", split)


def _open(name: str, split: str) -> ImageSource:
    from genmetrics.sources.parse import open_source

    return open_source(HUB_TEXTS[name].format(split=split))
