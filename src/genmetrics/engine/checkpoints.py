"""Checkpoints of the reading of an image set, from which a run that was killed goes on.

A folder holds one checkpoint: a manifest that names its files and their digests, the state of all that sums up, and
the rows of what keeps features in as many files as there were checkpoints, since each adds only its own. Files are
written under other names and moved into place, the manifest last; whatever it does not name is of no use and removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import ACCUMULATORS
from genmetrics.accumulators.composition import Composition, formats_from, sizes_from
from genmetrics.accumulators.content import ContentDigest
from genmetrics.accumulators.feature_bank import RowBank
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.engine.reading import Gathered, Reading
from genmetrics.errors import OutputError, SourceError, UsageError
from genmetrics.files import file_digest, write_atomically, write_text
from genmetrics.sources.base import Finished
from genmetrics.types import Need, SkippedImage

__all__ = ["INTERVAL", "Checkpoints", "check_interval"]

#: Names the seconds between two checkpoints.
INTERVAL = "GENMETRICS_CHECKPOINT_SECONDS"
_SECONDS = 60.0
_SCHEMA = 2
_MANIFEST, _LOCK = "checkpoint.json", "lock"
_LABELS, _CONTENT, _KEYS = "labels", "content", "keys"


class Checkpoints:
    """The checkpoints of one share of one image set."""

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        """Look whether the checkpoint in a folder, if there is one, is of this run; nothing of it is read yet.

        Args:
            folder: of this share alone; it is made if it is not there.
            run: everything that decides on the result, by what a person calls it; values that JSON has.

        Raises:
            UsageError: if the checkpoint is of another run, or its manifest is damaged.
            OutputError: if the folder cannot be written.
        """
        self._folder = folder
        self._run = json.loads(json.dumps(run))
        self._needs: list[Need] = []
        self._rows: list[dict[str, str]] = []
        self._num_rows: dict[int, int] = {}
        self._number = 0
        self._interval = check_interval()
        self._last = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        self._manifest()

    @contextmanager
    def opened(self) -> Iterator[Gathered]:
        """A block in which nobody else may use the folder; gives what the checkpoint has of the images.

        Raises:
            UsageError: if the checkpoint is damaged, of another run, or in use.
            OutputError: if the folder cannot be written.
        """
        lock = FileLock(self._folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UsageError(
                f"the checkpoints in '{self._folder}' are in use by another process; wait for it, or end it"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            gathered = self._read()
            self._last = time.monotonic()
            yield gathered
        finally:
            lock.release()

    def reached(self, reading: Reading, finished: Finished) -> None:
        """A segment is over: all its images go through the networks, and are written if it is time.

        Raises:
            SourceError: if the source does not count as it should.
            OutputError: if the checkpoint cannot be written.
        """
        if reading.gathered.num_over != finished.count:
            raise SourceError(
                f"{finished.count} images of the share should be over, and {reading.gathered.num_over} are: this "
                "source cannot be resumed; leave '--resume' out"
            )
        reading.settle(finished)
        if time.monotonic() - self._last >= self._interval:
            self._write(reading.gathered)
            self._last = time.monotonic()

    def end(self, reading: Reading, expected: int | None, source_notes: tuple[str, ...]) -> None:
        """The share is over.

        Args:
            reading: its reading.
            expected: how many images it has; None if that is not known.
            source_notes: what the source has to tell of them.

        Raises:
            SourceError: if they are others.
            OutputError: if the checkpoint cannot be written.
        """
        gathered = reading.gathered
        if expected not in (None, gathered.num_over):
            raise SourceError(
                f"{gathered.num_over} images were read of a share of {expected}: this source cannot be resumed; leave "
                "'--resume' out"
            )
        reading.settle(gathered.finished)
        gathered.complete, gathered.source_notes = True, source_notes
        self._write(gathered)

    def _write(self, gathered: Gathered) -> None:
        self._number += 1
        self._needs = list(gathered.accumulators)
        tensors: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        held = {str(number): gathered.accumulators[need] for number, need in enumerate(self._needs)}
        for number, accumulator in enumerate(held.values()):
            bank = _bank(accumulator)
            state = accumulator.state() if bank is None else _without_rows(accumulator)
            tensors |= _under(number, state)
            if bank is not None:
                rows |= _under(number, bank.arrived_after(self._num_rows.get(number, 0)))
                self._num_rows[number] = bank.num_samples
        tensors |= _under(_LABELS, gathered.labels.state()) | _under(_CONTENT, gathered.content.state())
        tensors |= _under(_KEYS, gathered.keys.state())
        parts = list(self._rows)
        if rows:
            parts.append(self._write_tensors(f"rows-{self._number:06d}.safetensors", rows))
        state_file = self._write_tensors(f"state-{self._number:06d}.safetensors", tensors)
        manifest = {
            "schema": _SCHEMA,
            "run": self._run,
            "needs": [asdict(need) for need in self._needs],
            "finished": {"count": gathered.finished.count, "tally": dict(gathered.finished.tally)},
            "complete": gathered.complete,
            "source_notes": list(gathered.source_notes),
            "skipped": [asdict(image) for image in gathered.skipped],
            "num_transparent": gathered.num_transparent,
            "num_by_device": gathered.num_by_device,
            "formats": gathered.composition.formats,
            "sizes": None if gathered.composition.sizes is None else asdict(gathered.composition.sizes),
            "number": self._number,
            "state": state_file,
            "rows": parts,
        }
        write_text(self._folder / _MANIFEST, json.dumps({**manifest, "sha256": _digest(manifest)}))
        self._rows = parts
        self._remove_all_but([state_file, *parts])

    def _write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
        path = self._folder / name
        # Each of its own: states share memory where nothing was fed yet.
        own = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        write_atomically(path, lambda temporary: save_file(own, temporary))
        return {"file": name, "sha256": file_digest(path, "sha256")}

    def _manifest(self) -> dict[str, Any] | None:
        """What the manifest says; None if there is none."""
        path = self._folder / _MANIFEST
        if not path.is_file():
            return None
        try:
            manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
            stated = manifest.pop("sha256")
            whole = stated == _digest(manifest)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise self._damaged(f"{_MANIFEST}: {error}") from error
        if not whole:
            raise self._damaged(f"{_MANIFEST} was changed")
        if manifest["schema"] != _SCHEMA:
            raise UsageError(
                f"the checkpoint in '{self._folder}' is of another version of genmetrics; remove the folder to begin "
                "anew"
            )
        self._check_run(manifest["run"])
        return manifest

    def _read(self) -> Gathered:
        manifest = self._manifest()
        if manifest is None:
            self._remove_all_but([])
            return Gathered()
        for entry in (manifest["state"], *manifest["rows"]):
            self._check_file(entry)
        self._remove_all_but([manifest["state"], *manifest["rows"]])
        self._needs = [_need(fields) for fields in manifest["needs"]]
        self._rows, self._number = manifest["rows"], manifest["number"]
        tensors = self._load(manifest["state"])
        accumulators = {need: self._accumulator(number, need, tensors) for number, need in enumerate(self._needs)}
        return Gathered(
            accumulators,
            ContentDigest.from_state(_of(_CONTENT, tensors)),
            ImageKeys.from_state(_of(_KEYS, tensors)),
            Composition(formats_from(manifest["formats"]), sizes_from(manifest["sizes"])),
            Labels.from_state(_of(_LABELS, tensors)),
            [SkippedImage(**image) for image in manifest["skipped"]],
            manifest["num_transparent"],
            manifest["num_by_device"],
            Finished(**manifest["finished"]),
            manifest["complete"],
            tuple(manifest["source_notes"]),
        )

    def _accumulator(self, number: int, need: Need, tensors: Mapping[str, Tensor]) -> Accumulator:
        kind = ACCUMULATORS[need.accumulator]
        state = _of(number, tensors)
        if not self._rows or ("setting" not in state and not issubclass(kind, RowBank)):
            return kind.from_state(state)
        parts = [_of(number, self._load(entry)) for entry in self._rows]
        if not parts[0]:
            return kind.from_state(state)
        held = kind.from_state({**state, **parts[0]})
        for part in parts[1:]:
            held.update(part["rows"], part["indices"])
        self._num_rows[number] = held.num_samples
        return held

    def _check_run(self, theirs: Mapping[str, object]) -> None:
        for name in dict.fromkeys((*theirs, *self._run)):
            if theirs.get(name) != self._run.get(name):
                raise UsageError(
                    f"the run in '{self._folder}' cannot be resumed by this one: {name} was {_shown(theirs.get(name))} "
                    f"and is {_shown(self._run.get(name))} now; give the same as before, or remove the folder to begin "
                    "anew"
                )

    def _check_file(self, entry: Mapping[str, str]) -> None:
        try:
            found = file_digest(self._folder / entry["file"], "sha256")
        except OSError as error:
            raise self._damaged(f"{entry['file']}: {error.strerror or error}") from error
        if found != entry["sha256"]:
            raise self._damaged(f"{entry['file']} was changed")

    def _load(self, entry: Mapping[str, str]) -> dict[str, Tensor]:
        try:
            return load_file(self._folder / entry["file"])
        except (OSError, SafetensorError) as error:
            raise self._damaged(f"{entry['file']}: {error}") from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write checkpoints to '{self._folder}': {error.strerror or error}")

    def _damaged(self, what: str) -> UsageError:
        return UsageError(
            f"the checkpoint in '{self._folder}' is damaged ({what}), and nothing is made of it; remove the folder to "
            "begin anew"
        )

    def _remove_all_but(self, entries: Iterable[Mapping[str, str]]) -> None:
        """Of files of ours, those that a run left behind that was killed while it wrote, or that are older."""
        named = {entry["file"] for entry in entries} | {_MANIFEST, _LOCK}
        for path in self._folder.iterdir():
            ours = path.name.startswith(("rows-", "state-", ".rows-", ".state-", f".{_MANIFEST}."))
            if ours and path.name not in named:
                path.unlink(missing_ok=True)


def check_interval() -> float:
    """The seconds between two checkpoints.

    Raises:
        UsageError: if the environment variable is no such number.
    """
    given = os.environ.get(INTERVAL, "")
    try:
        seconds = float(given) if given else _SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{INTERVAL}='{given}': expected a number of seconds, 0 or more")
    return seconds


def _bank(accumulator: Accumulator) -> RowBank | None:
    """The rows that an accumulator keeps, if it keeps any."""
    if isinstance(accumulator, SoftmaxSums):
        return accumulator.kept()
    return accumulator if isinstance(accumulator, RowBank) else None


def _without_rows(accumulator: Accumulator) -> dict[str, Tensor]:
    return {"setting": accumulator.setting()} if isinstance(accumulator, SoftmaxSums) else {}


def _under(prefix: int | str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in state.items()}


def _of(prefix: int | str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _need(fields: Mapping[str, Any]) -> Need:
    return Need(**{**fields, "options": tuple((name, value) for name, value in fields["options"])})


def _digest(manifest: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
