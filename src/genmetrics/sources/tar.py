"""Image files in tar archives, one or many, read in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath

from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.label_files import integer
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.members import outside_note, repeated_notes, require_images
from genmetrics.sources.names import PassedOver, count, some
from genmetrics.sources.patterns import expand, short_names
from genmetrics.sources.remote import shown
from genmetrics.sources.sampling import SAMPLE_BYTES, evenly_spaced
from genmetrics.sources.tar_shard import TarEntry, TarShard, column, sample
from genmetrics.types import Fingerprint

__all__ = ["TarSource", "WebdatasetSource"]


class TarSource(ItemSource):
    """The image files of a tar archive, or of many, plain or compressed with gzip, bzip2 or xz.

    Members are chosen by name as in a folder, and counted in the order of their names; of many archives, those
    of the first come first. A plain archive is read at any place; a compressed one in a single pass, in the
    order in which it was packed. Links and sparse files inside the archive are not followed, and mentioned in
    ``notes``.

    The labels are those of the ``.cls`` files that lie beside the images, an integer each.
    """

    kind = "tar"
    #: Whether images such as ``key.mask.png`` are other columns of samples, which are passed over.
    webdataset = False

    def __init__(self, path: str | Path) -> None:
        """List the archives; compressed ones are read once for that.

        Args:
            path: an archive, or a pattern of archives: ``shards/train-{000000..000146}.tar``, ``*.tar``.

        Raises:
            SourceError: if archives are missing, are no tar archives, are damaged or cut short, or hold no
                image.
        """
        self.description = shown(str(path))
        paths = expand(str(path), "a tar archive")
        passed_over = PassedOver()
        self._shards = tuple(TarShard.read(shard, self.webdataset, passed_over) for shard in paths)
        #: What is put before a name, so that the same name in two archives is two names.
        self._prefixes = tuple(f"{name}/" for name in short_names(paths)) if len(paths) > 1 else ("",)
        #: The first index of each archive, and behind them the number of all images.
        self._starts = tuple(accumulate((len(shard.entries) for shard in self._shards), initial=0))
        require_images(range(len(self)), "tar archive", path, passed_over)
        self._labels = self._read_labels()
        self.notes = passed_over.notes() + self._notes()

    def __len__(self) -> int:
        return self._starts[-1]

    def fingerprint(self) -> Fingerprint:
        """Size and times of change of each archive, name and size of each image."""
        digest = SetDigest()
        for prefix, shard in zip(self._prefixes, self._shards, strict=True):
            digest.add_file(prefix, shard.path)
            for entry in shard.entries:
                digest.add(entry.name, entry.size)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """Name and size of each image, the beginnings of some, and the labels.

        Raises:
            SourceError: if an archive is damaged or has changed since it was listed.
        """
        digest = SetDigest()
        for prefix, _, entry in self._all():
            digest.add(prefix, entry.name, entry.size)
        digest.add(self._labels)
        for shard, _, start, inside in self._inside(evenly_spaced(len(self))):
            found = dict(shard.starts(inside, SAMPLE_BYTES))
            for position in sorted(found):
                digest.add(start + position)
                digest.add_bytes(found[position])
        return digest.hexdigest()

    def names(self) -> Sequence[str]:
        """The path of each image in its archive, after the archive's name if there are several."""
        return [prefix + entry.name for prefix, _, entry in self._all()]

    def paths(self) -> Sequence[str]:
        """The path of each image in its archive."""
        return [entry.name for _, _, entry in self._all()]

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return self._labels

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images: in order from plain archives, as they come from compressed ones.

        Raises:
            SourceError: if an archive is damaged or has changed since it was listed.
        """
        for shard, prefix, start, inside in self._inside(wanted):
            for found, load in shard.items(inside):
                label = None if self._labels is None else self._labels[start + found]
                yield Item(start + found, prefix + shard.entries[found].name, load, label)

    def _inside(self, wanted: Sequence[int]) -> Iterator[tuple[TarShard, str, int, list[int]]]:
        """Each archive, what is put before its names, its first index, and which of its images are wanted."""
        position = 0
        for shard, prefix, start, stop in zip(
            self._shards, self._prefixes, self._starts, self._starts[1:], strict=False
        ):
            inside = []
            while position < len(wanted) and wanted[position] < stop:
                inside.append(wanted[position] - start)
                position += 1
            yield shard, prefix, start, inside

    def _all(self) -> Iterator[tuple[str, TarShard, TarEntry]]:
        for prefix, shard in zip(self._prefixes, self._shards, strict=True):
            for entry in shard.entries:
                yield prefix, shard, entry

    def _read_labels(self) -> tuple[int, ...] | None:
        if not any(shard.labels for shard in self._shards):
            return None
        labels: list[int] = []
        missing: list[str] = []
        wrong: list[str] = []
        for prefix, shard, entry in self._all():
            text = shard.label(entry)
            if text is None:
                missing.append(prefix + entry.name)
                continue
            try:
                labels.append(integer(text))
            except ValueError:
                wrong.append(f"{prefix}{entry.name} has {text!r}")
        if missing:
            self.label_problem = (
                f"{len(missing):,} of {count(len(self), 'image')} have no .cls file with a label beside them: "
                + some(missing)
            )
        elif wrong:
            self.label_problem = f"labels in .cls files must be integers: {some(wrong)}"
        return None if self.label_problem else tuple(labels)

    def _notes(self) -> tuple[str, ...]:
        notes = repeated_notes(sum(shard.repeated for shard in self._shards))
        links = sum(shard.links for shard in self._shards)
        if links:
            notes += (f"passed over {count(links, 'link')} or special files of an image's name",)
        return (
            notes
            + self._about_shards(
                [not shard.has_end for shard in self._shards],
                "no end mark; it may have been cut short between two files",
            )
            + self._about_shards(
                [shard.has_more for shard in self._shards],
                "more data after its end mark, such as a second archive; it is not read",
            )
            + outside_note(entry for _, _, entry in self._all())
            + self._column_note()
            + self._orphan_note()
        )

    def _about_shards(self, which: Sequence[bool], what: str) -> tuple[str, ...]:
        names = [prefix.removesuffix("/") for prefix, found in zip(self._prefixes, which, strict=True) if found]
        if not names:
            return ()
        return (f"the archive has {what}",) if names == [""] else (f"archives with {what}: {some(names)}",)

    def _column_note(self) -> tuple[str, ...]:
        """A note if images look like the masks of others."""
        if self.webdataset:
            return ()
        columns: list[str] = []
        for shard in self._shards:
            plain = {sample(entry.name) for entry in shard.entries if not column(entry.name)}
            columns += [entry.name for entry in shard.entries if column(entry.name) and sample(entry.name) in plain]
        if not columns:
            return ()
        return (
            f"{count(len(columns), 'image')} such as '{columns[0]}' beside another of the same key; all are counted. "
            f"If they are masks or the like of webdataset samples, 'wds:{self.description}' leaves them out",
        )

    def _orphan_note(self) -> tuple[str, ...]:
        """A note if there are labels without images, which may be images that got lost."""
        orphans: list[str] = []
        for prefix, shard in zip(self._prefixes, self._shards, strict=True):
            keys = {sample(entry.name) for entry in shard.entries}
            keys |= {str(PurePosixPath(entry.name).with_suffix("")) for entry in shard.entries}
            orphans += [f"{prefix}{key}.cls" for key in sorted(shard.labels.keys() - keys)]
        return (f"{count(len(orphans), 'label')} of no image: {some(orphans)}",) if orphans else ()


class WebdatasetSource(TarSource):
    """Samples in the webdataset layout: the image of a sample is ``key.jpg``, with nothing between key and extension.

    ``key.mask.png`` is another column and passed over. All else is as in ``TarSource``.
    """

    kind = "wds"
    webdataset = True
