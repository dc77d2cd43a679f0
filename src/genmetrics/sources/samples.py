"""What datasets, loaders and iterables give: an image, a batch of images, either with labels.

An image is a tensor (3, h, w) or (1, h, w), a numpy array (h, w, 3) or (h, w, 1), or a Pillow image. It stands alone,
first in a tuple, or under ``image``, ``img`` or ``pixel_values`` in a mapping. A label is an integer; it stands second
in the tuple, or under ``label`` or ``labels``. Anything else in the second place, such as a caption, is left aside,
and so are negative labels, by which datasets say that there is none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genmetrics.errors import SourceError
from genmetrics.sources.decode import BadImage, Decoded, decode_array, decode_image
from genmetrics.sources.layout import check_image, dtype_name
from genmetrics.sources.loader import Item
from genmetrics.sources.quantise import Quantiser, Values, floats
from genmetrics.types import AlphaPolicy

__all__ = ["IMAGE_KEYS", "IMAGE_TYPES", "Sample", "read_sample"]

IMAGE_TYPES = (Tensor, np.ndarray, Image.Image)
IMAGE_KEYS = ("image", "img", "pixel_values")
_LABEL_KEYS = ("label", "labels")
_TAKEN = (
    "an image (a tensor (3, h, w), a numpy array (h, w, 3) or a Pillow image), (image, label), or a dict with "
    f"{', '.join(repr(key) for key in IMAGE_KEYS[:-1])} or {IMAGE_KEYS[-1]!r}"
)


@dataclass(frozen=True)
class Sample:
    """The images of one item of a dataset or iterable.

    Attributes:
        images: single images, or one batch of them in four dimensions.
        labels: one for each image; None where there is none.
    """

    images: Tensor | np.ndarray | Sequence[Tensor | np.ndarray | Image.Image]
    labels: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def items(
        self, rows: Sequence[int], first_index: int, name: Callable[[int], str], quantiser: Quantiser
    ) -> Iterator[Item]:
        """Some of the images, copied now, so that what they came in can be used again.

        Args:
            rows: which of them.
            first_index: the position of row 0 in the whole source.
            name: from a position to what a person finds the image by.
            quantiser: makes floats uint8.

        Raises:
            SourceError: if they are no images, or their range is not known or another than stated.
            UsageError: if a range was stated for uint8 images.
        """
        indices = [first_index + row for row in rows]
        names = [name(index) for index in indices]
        if isinstance(self.images, Tensor | np.ndarray):
            loads = _loads(self.images[list(rows)], names, quantiser)
        else:
            loads = [load for row, one in zip(rows, names, strict=True) for load in self._load(row, one, quantiser)]
        for row, index, one, load in zip(rows, indices, names, loads, strict=True):
            yield Item(index, one, load, self.labels[row])

    def _load(self, row: int, name: str, quantiser: Quantiser) -> list[Callable[[AlphaPolicy], Decoded]]:
        image = self.images[row]
        if isinstance(image, Image.Image):
            return [_pillow_load(image, name, quantiser)]
        _check(image, name)
        return _loads(image[None], [name], quantiser)


def read_sample(value: object, what: str, batched: bool) -> Sample:
    """Find the images and labels in what a dataset or iterable gave.

    Args:
        value: what it gave.
        what: what that is called in messages, such as ``item 3 of the dataset``.
        batched: whether it may be a batch.

    Raises:
        SourceError: if there is no image in it, or it could be read in several ways.
    """
    if batched and isinstance(value, list) and value and all(isinstance(part, tuple | Mapping) for part in value):
        parts = [read_sample(part, f"part {number} of {what}", False) for number, part in enumerate(value)]
        return Sample([part.images[0] for part in parts], tuple(part.labels[0] for part in parts))
    images, labels = _parts(value, what, batched)
    if isinstance(images, Image.Image):
        return Sample([images], _labels(labels, 1, what))
    if isinstance(images, list):
        return Sample(images, _labels(labels, len(images), what))
    assert isinstance(images, Tensor | np.ndarray)
    _check(images, what)
    if images.ndim == 3:
        return Sample(images[None], _labels(labels, 1, what))
    if not batched:
        raise SourceError(
            f"{what} is a batch of shape {tuple(images.shape)}, expected one image; give the dataset in a DataLoader "
            "with batch_size=None"
        )
    return Sample(images, _labels(labels, int(images.shape[0]), what))


def _parts(value: object, what: str, batched: bool) -> tuple[object, object]:
    """Images and labels, either as they came."""
    if isinstance(value, IMAGE_TYPES):
        return value, None
    if isinstance(value, Mapping):
        found = [key for key in IMAGE_KEYS if key in value]
        if len(found) != 1:
            keys = ", ".join(repr(key) for key in value) or "no keys"
            raise SourceError(
                f"{what} is a dict with {keys}, expected one of {', '.join(map(repr, IMAGE_KEYS))} in it; rename the "
                "one that holds the image"
            )
        images = value[found[0]]
        if not isinstance(images, IMAGE_TYPES) and not _is_images(images, batched):
            raise SourceError(f"{found[0]!r} of {what} is a {type(images).__name__}, expected {_TAKEN}")
        labels = next((value[key] for key in _LABEL_KEYS if key in value), None)
        return images, labels
    if _is_images(value, batched):
        return value, None
    if isinstance(value, tuple | list) and value:
        images, labels = value[0], value[1] if len(value) > 1 else None
        if isinstance(labels, IMAGE_TYPES) and getattr(labels, "ndim", 3) > 2:
            raise SourceError(f"{what} has two images, and it is not guessed which one counts; give only that one")
        if isinstance(images, IMAGE_TYPES) or _is_images(images, batched):
            return images, labels
    raise SourceError(f"{what} is a {type(value).__name__}{_inside(value)}, expected {_TAKEN}")


def _is_images(value: object, batched: bool) -> bool:
    """Whether it is a list of single images; two of them in a tuple are rather input and output of a model."""
    return (
        batched
        and isinstance(value, list)
        and bool(value)
        and all(isinstance(image, IMAGE_TYPES) and getattr(image, "ndim", 3) == 3 for image in value)
    )


def _inside(value: object) -> str:
    if isinstance(value, tuple | list):
        return f" of {', '.join(type(part).__name__ for part in value[:4]) or 'nothing'}"
    return ""


def _check(images: Tensor | np.ndarray, what: str) -> None:
    dtype = dtype_name(images.dtype)
    check_image(what, dtype, tuple(images.shape), channels_first=isinstance(images, Tensor))


def _labels(labels: object, number: int, what: str) -> tuple[int | None, ...]:
    """One label for each image, or none for all."""
    if isinstance(labels, Tensor | np.ndarray):
        whole = "int" in str(labels.dtype)  # uint8 and its like too, but no bool and no float
        values = labels.reshape(-1).tolist() if whole and labels.ndim < 2 else []
        given: list[object] = list(values)
    elif isinstance(labels, list | tuple):
        given = list(labels)
    else:
        given = [labels]
    found = [_label(value) for value in given]
    if not found or not all(isinstance(value, int) or _is_index(value) for value in given):
        return (None,) * number
    if len(found) != number:
        raise SourceError(f"{what} has {number} images and {len(found)} labels, expected one for each")
    return tuple(found)


def _is_index(value: object) -> bool:
    return isinstance(value, np.integer) or (
        isinstance(value, Tensor) and value.ndim == 0 and "int" in str(value.dtype)
    )


def _label(value: object) -> int | None:
    if isinstance(value, bool) or not (isinstance(value, int) or _is_index(value)):
        return None
    label = operator.index(value)  # type: ignore[arg-type]
    return label if label >= 0 else None


def _loads(
    images: Tensor | np.ndarray, names: Sequence[str], quantiser: Quantiser
) -> list[Callable[[AlphaPolicy], Decoded]]:
    """What decodes each image of a batch whose shape has been checked; the pixels are copied and made uint8 now."""
    if not names:
        return []
    dtype = dtype_name(images.dtype)
    outcomes: list[BadImage | Values | None] = [None] * len(names)
    if quantiser.check_dtype(dtype, names[0]):
        values = images if isinstance(images, Tensor) else floats(images).permute(0, 3, 1, 2)
        quantised, found = quantiser.batch(values, names)
        outcomes = [*found]
        rows = quantised.permute(0, 2, 3, 1).numpy()
    elif isinstance(images, Tensor):
        rows = images.detach().to("cpu", memory_format=torch.contiguous_format, copy=True).permute(0, 2, 3, 1).numpy()
    else:
        rows = images.copy()
    return [partial(_load, row, outcome, quantiser) for row, outcome in zip(rows, outcomes, strict=True)]


def _load(row: np.ndarray, outcome: BadImage | Values | None, quantiser: Quantiser, alpha: AlphaPolicy) -> Decoded:
    if isinstance(outcome, BadImage):
        raise outcome
    if outcome is not None:
        quantiser.count(outcome)
    return decode_array(row, alpha)


def _pillow_load(image: Image.Image, name: str, quantiser: Quantiser) -> Callable[[AlphaPolicy], Decoded]:
    if quantiser.value_range is not None:
        quantiser.check_dtype("uint8", f"{name}, a Pillow image,")
    try:
        image.load()
    except Exception as error:
        reason = BadImage(f"damaged or truncated: {error or type(error).__name__}")
        return partial(_load, np.empty((1, 1, 3), np.uint8), reason, quantiser)
    return partial(decode_image, image)
