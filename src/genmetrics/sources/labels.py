"""Which class each image is of: as its container says, by folders, by a file, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from genmetrics.errors import SourceError, UsageError
from genmetrics.registry import did_you_mean
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource, SeededSource
from genmetrics.sources.label_files import ClassLabels, named_labels, read_label_array, read_label_file
from genmetrics.sources.loader import ItemSource
from genmetrics.sources.names import some
from genmetrics.types import Fingerprint, Shard

__all__ = ["LabelledSource", "check_labels", "label_source"]

_WORDS = ("auto", "folders", "none")
_EXTENSIONS = (".json", ".csv", ".tsv", ".npy")


class LabelledSource(ImageSource):
    """The images of another source with other labels, or with none."""

    def __init__(self, source: ImageSource, labels: ClassLabels | None) -> None:
        """Put the labels over the source's own.

        Args:
            source: the images; its kind, description and notes become this one's.
            labels: one for each image; None for a set without labels.
        """
        self._source = source
        self._labels = labels
        self.kind = source.kind
        self.description = source.description
        self.class_names = () if labels is None else labels.class_names

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]  # of some sources they grow with a pass
        """The source's own."""
        return self._source.notes

    def __len__(self) -> int:
        return len(self._source)

    @property
    def unlabelled(self) -> ImageSource:
        """The source itself."""
        return self._source

    @property
    def repeatable(self) -> bool:
        """As the source is."""
        return self._source.repeatable

    def names(self) -> Sequence[str] | None:
        """The source's own."""
        return self._source.names()

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return None if self._labels is None else self._labels.values.tolist()

    def fingerprint(self) -> Fingerprint:
        """That of the images, changed by the labels."""
        found = self._source.fingerprint()
        return replace(found, digest=self._with_labels(found.digest))

    def identity(self) -> str | None:
        """That of the images, changed by the labels."""
        return self._with_labels(self._source.identity())

    def _with_labels(self, of_images: str | None) -> str | None:
        if of_images is None:
            return None
        text = b"none" if self._labels is None else self._labels.values.tobytes()
        own = hashlib.sha256(repr(self.class_names).encode("utf-8", "surrogateescape") + text).hexdigest()
        return hashlib.sha256(f"{of_images}{own}".encode()).hexdigest()

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """The source's batches with these labels."""
        return self._labelled(self._source.batches(shard, spec), spec)

    def _labelled(self, batches: Iterator[ImageBatch], spec: BatchSpec) -> Iterator[ImageBatch]:
        for batch in batches:
            labels = None
            if self._labels is not None:
                positions = batch.indices.tolist()
                if spec.selection is not None:
                    positions = [spec.selection[index] for index in positions]
                labels = torch.tensor([int(self._labels.values[position]) for position in positions], dtype=torch.int64)
            yield replace(batch, labels=labels)


class _SeededLabelledSource(LabelledSource, SeededSource):
    """The same of a set whose images are drawn."""

    def __init__(self, source: SeededSource, labels: ClassLabels | None) -> None:
        super().__init__(source, labels)
        self._drawn = source

    def seeded(self, seed: int) -> ImageSource:
        """The images drawn with this seed, with these labels."""
        return _with(self._drawn.seeded(seed), self._labels)


def _with(source: ImageSource, labels: ClassLabels | None) -> ImageSource:
    if isinstance(source, SeededSource):
        return _SeededLabelledSource(source, labels)
    return LabelledSource(source, labels)


def check_labels(labels: object, name: str = "labels") -> None:
    """Check that labels are given as a word or a path.

    Args:
        labels: what was given.
        name: of the argument, for the message.

    Raises:
        UsageError: if they are anything else, such as the labels themselves.
    """
    if not isinstance(labels, str | Path):
        raise UsageError(
            f"{name} is a {type(labels).__name__}; expected {', '.join(_WORDS)}, or the path of a "
            f"{', '.join(_EXTENSIONS)} file: numpy.save('labels.npy', labels) writes one of an integer for each image"
        )


def label_source(source: ImageSource, labels: str | Path) -> ImageSource:
    """The source with the labels that were asked for.

    Args:
        source: the images.
        labels: ``auto``: what the container itself says, such as ``arr_1``, ``.cls`` files or a
            ``dataset.json``; ``folders``: the class is the first folder of an image's path, in sorted order;
            ``none``; or the path of a ``.json``, ``.csv`` or ``.tsv`` file of names and labels, or of an
            ``.npy`` of one integer for each image in order.

    Raises:
        SourceError: if the labels are not one for each image.
        UsageError: if ``labels`` is none of these, or cannot be had of such a source.
    """
    check_labels(labels)
    if labels == "auto":
        if isinstance(source, ItemSource) and source.label_problem:
            raise SourceError(
                f"{source.kind} '{source.description}': {source.label_problem}. To measure the images without labels "
                'give `--labels none` (Python: labels="none"), or a file of labels'
            )
        return source
    suffix = Path(labels).suffix
    if labels not in _WORDS and suffix not in _EXTENSIONS:
        hint = did_you_mean(str(labels), list(_WORDS))
        raise UsageError(
            f"labels is '{labels}'; {hint if hint.startswith('did') else ''}{' ' if hint.startswith('did') else ''}"
            f"expected {', '.join(_WORDS)}, or the path of a {', '.join(_EXTENSIONS)} file"
        )
    if labels == "none":
        return _with(source, None)
    if suffix == ".npy":
        return _with(source, read_label_array(labels, _size(source, labels)))
    if not isinstance(source, ItemSource):
        raise UsageError(
            f"labels='{labels}' was given with a {source.kind} ('{source.description}'), whose images bring their own; "
            "leave it out"
        )
    if labels == "folders":
        return _with(source, _by_folders(source))
    _size(source, labels)
    return _with(source, read_label_file(labels, source.names(), source.paths()))


def _size(source: ImageSource, labels: str | Path) -> int:
    try:
        return len(source)
    except TypeError as error:
        raise UsageError(
            f"labels='{labels}' was given with {source.kind} '{source.description}', which does not say how many "
            "images it gives, so that no file can hold a label for each; let it give (image, label) pairs"
        ) from error


def _by_folders(source: ItemSource) -> ClassLabels:
    """As torchvision's ``ImageFolder`` has them."""
    paths = source.paths()
    if paths is None:
        raise UsageError(
            f"labels='folders' was given with {source.kind} '{source.description}', whose images lie in no folders; "
            f"give the path of a {', '.join(_EXTENSIONS)} file of labels"
        )
    parts = [PurePosixPath(path).parts for path in paths]
    outside = [path for path, part in zip(paths, parts, strict=True) if len(part) < 2 or part[0] in ("/", "..")]
    if outside:
        raise SourceError(
            f"{len(outside):,} of {len(paths):,} images in {source.kind} '{source.description}' lie in no folder that "
            f"could be their class: {some(outside)}; move them into one, or give labels in a file"
        )
    return named_labels([part[0] for part in parts])
