"""Data loaders, iterables and iterators: images that come one after another and are counted as they come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from genmetrics.errors import GenmetricsError, SourceError, UsageError
from genmetrics.sources.base import BatchSpec, ImageBatch
from genmetrics.sources.loader import Item, check_spec
from genmetrics.sources.names import count
from genmetrics.sources.quantise import QuantisedSource, Quantiser
from genmetrics.sources.samples import read_sample
from genmetrics.types import Fingerprint, Shard

__all__ = ["IterableSource", "LoaderSource"]


class _Stream(QuantisedSource):
    """Images that come one after another and are counted as they come."""

    _length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError(f"{self.kind} '{self.description}' does not say how many images it gives")
        return self._length

    @property
    def repeatable(self) -> bool:
        """Not known: what comes next time cannot be told, and it would all be read for a few."""
        return False

    def fingerprint(self) -> Fingerprint:
        """Without a digest: what comes next time cannot be told."""
        return Fingerprint(self.kind, self.description, None)

    @abstractmethod
    def _values(self) -> Iterator[object]:
        """What the object gives, from the first on."""

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """Read one share; of a stream whose length is not known, share i of n has the indices i, i + n, i + 2n, ….

        Args:
            shard: the share. Each share reads the stream from its beginning.
            spec: how images are read and grouped; a selection ends the reading with its last position.

        Raises:
            UsageError: at once, if ``spec`` cannot be meant.
            BadImageError: at images that cannot be used, if ``spec.on_bad_image`` is ``error``.
            SourceError: if there are fewer or more images than said, or something else than images.
        """
        check_spec(spec, self._length)
        if self._length is None and spec.selection is None:
            items = self._picked(range(shard.index, 2**63 - 1, shard.count))
            return self._noting(self._batches(items, lambda index: index, None, spec), shard)
        return self._noting(self._share(shard, spec, self._length), shard)

    def names(self) -> Sequence[str] | None:  # type: ignore[override]  # an item source knows its length
        """The position of each image, which needs none to be read; None where their number is not known."""
        if self._length is None:
            return None
        return [self._name(index) for index in range(len(self))]

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images, read here."""
        whole = self._length is not None and bool(wanted) and wanted[-1] == self._length - 1
        return self._picked(range(wanted.start, wanted.stop) if isinstance(wanted, range) else wanted, check_end=whole)

    def _picked(self, wanted: Sequence[int], check_end: bool = False) -> Iterator[Item]:
        chosen = wanted if isinstance(wanted, range) else frozenset(wanted)
        last = wanted[-1] if wanted else -1
        first = 0
        for number, value in enumerate(self._read(last)):
            sample = read_sample(value, f"item {number} of the {self.kind}", batched=True)
            rows = [row for row in range(len(sample)) if first + row in chosen]
            yield from sample.items(rows, first, self._name, self._quantiser)
            first += len(sample)
            if check_end and first > last + 1:
                raise SourceError(
                    f"{self.kind} '{self.description}' gave more than {count(last + 1, 'image')}: {self._why_fewer}"
                )
            if first > last and not check_end:
                return
        if first == 0 and wanted:
            raise SourceError(f"{self.kind} '{self.description}' gave no image, expected at least one")

    def _read(self, last: int) -> Iterator[object]:
        """The values; an error of the object itself is told with the place where it came."""
        if last < 0:
            return
        number = 0
        try:
            for value in self._values():
                yield value
                number += 1
        except GenmetricsError:
            raise
        except Exception as error:
            raise SourceError(
                f"{self.kind} '{self.description}' failed after {count(number, 'item')}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _name(self, index: int) -> str:
        return f"image {index} of the {self.kind}"


class IterableSource(_Stream):
    """An iterable of images, of batches, or of either with labels.

    An iterator, such as a generator object, is used up by one reading. Anything else is iterated anew for each
    reading, and has to give the same images in the same order each time.
    """

    kind = "iterable"
    _why_fewer = "it does not give what it promised"

    def __init__(
        self,
        iterable: Iterable[Any],
        value_range: Sequence[int | float] | None = None,
        rounding: str = "round",
        num_samples: int | None = None,
    ) -> None:
        """Take the iterable; nothing is read yet.

        Args:
            iterable: an ``IterableDataset``, a list of images, a generator object …
            value_range: what float images run from and to; None for uint8 and Pillow images.
            rounding: how floats become uint8.
            num_samples: read so many images and no more; None reads to the end.

        Raises:
            SourceError: if it is an empty list.
            UsageError: if an option cannot be meant.
        """
        super().__init__(Quantiser(value_range, rounding))
        if num_samples is not None and num_samples < 1:
            raise UsageError(f"num_samples is {num_samples}, expected at least 1")
        self._iterable = iterable
        self._once = isinstance(iterable, Iterator)
        self._used = False
        self.description = type(iterable).__name__
        self._length = num_samples
        if isinstance(iterable, list | tuple):
            total = sum(len(read_sample(value, f"item {i} of the list", True)) for i, value in enumerate(iterable))
            self.description = f"{type(iterable).__name__} of {count(total, 'image')}"
            if not total:
                raise SourceError(f"the {type(iterable).__name__} is empty, expected at least one image")
            self._length = total if num_samples is None else num_samples
        self._ends = num_samples is None

    @property
    def repeatable(self) -> bool:
        """Of a list, which is in memory; of nothing else is it known."""
        return isinstance(self._iterable, list | tuple)

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images, read here; nothing is read behind ``num_samples``."""
        return super().items(wanted) if self._ends else self._picked(wanted)

    def _values(self) -> Iterator[object]:
        if self._used:
            raise SourceError(
                f"the {self.description} can be read only once, and has been; give an object that can be iterated "
                "again, such as a list, a DataLoader or an IterableDataset"
            )
        self._used = self._once
        return iter(self._iterable)


class LoaderSource(_Stream):
    """A ``torch.utils.data.DataLoader``, which reads with its own workers."""

    kind = "loader"
    _why_fewer = (
        "the loader does not give what its sampler says (a collate function that leaves images out, or an "
        "IterableDataset that each worker reads from the beginning?)"
    )

    def __init__(
        self, loader: DataLoader[Any], value_range: Sequence[int | float] | None = None, rounding: str = "round"
    ) -> None:
        """Look at the loader's settings; nothing is read yet.

        Args:
            loader: gives images, batches of them, or either with labels.
            value_range: what float images run from and to; None for uint8 and Pillow images.
            rounding: how floats become uint8.

        Raises:
            UsageError: if its sampler repeats images to make the ranks' shares equal, or an option cannot be meant.
        """
        if isinstance(_sampler(loader), DistributedSampler):
            raise UsageError(
                "the loader has a DistributedSampler, which repeats images so that all ranks get equally many, and "
                "gives each rank its own; give a loader without it on every rank: genmetrics shares the images out, "
                "each exactly once"
            )
        self._loader = loader
        self._length, dropped = _loader_length(loader)
        self._shuffled = not _is_ordered(loader)
        notes = []
        if dropped:
            notes.append(f"{count(dropped, 'image')} left out by the loader's drop_last=True")
        if self._shuffled:
            notes.append("the loader may give another order in every run: draws by position, such as --num, differ")
        if getattr(_sampler(loader), "replacement", False):
            notes.append("the loader draws with replacement: images may occur more than once")
        if isinstance(loader.dataset, IterableDataset) and loader.num_workers > 1:
            notes.append(
                f"an IterableDataset read by {loader.num_workers} workers: each must give its own share of the images"
            )
        super().__init__(Quantiser(value_range, rounding), tuple(notes))
        self.description = f"DataLoader of {type(loader.dataset).__name__}"

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """As of any stream.

        Raises:
            UsageError: also if the order is shuffled and there are several shares, which would overlap.
        """
        if self._shuffled and shard.count > 1:
            raise UsageError(
                f"a loader that shuffles cannot be shared out to {shard.count} ranks: each would see another order, so "
                "that images were counted twice and others never; give it with shuffle=False"
            )
        return super().batches(shard, spec)

    def _values(self) -> Iterator[object]:
        return iter(self._loader)


def _loader_length(loader: DataLoader[Any]) -> tuple[int | None, int]:
    """How many images a loader gives, None if that cannot be known, and how many it drops at the end."""
    sampler = loader.batch_sampler
    if type(sampler) is not BatchSampler or isinstance(loader.dataset, IterableDataset):
        return None, 0
    try:
        total = len(sampler.sampler)  # type: ignore[arg-type]
    except TypeError:
        return None, 0
    dropped = total % sampler.batch_size if sampler.drop_last else 0
    return total - dropped, dropped


def _sampler(loader: DataLoader[Any]) -> object:
    """What draws the positions, also where it was given inside a batch sampler."""
    return getattr(loader.batch_sampler, "sampler", loader.sampler)


def _is_ordered(loader: DataLoader[Any]) -> bool:
    """Whether it is known to give the same order every time."""
    if isinstance(loader.dataset, IterableDataset):
        return True  # its own affair
    if type(loader.batch_sampler) not in (BatchSampler, type(None)) or type(_sampler(loader)) is not SequentialSampler:
        return False
    return bool(getattr(loader, "in_order", True))  # since torch 2.6
