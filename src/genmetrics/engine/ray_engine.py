"""Statistics of one set by many machines: Ray Data runs the shares of the set in actors and merges them in a tree.

A share is one row of a Ray dataset, and its statistics are the row that comes out. What Ray runs a second time,
because a process or a machine was lost, is a whole share, so that no image counts twice or is left out.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genmetrics import distributed
from genmetrics.engine.chosen import choose, part_of_set, set_identity
from genmetrics.engine.image_pass import skipped_note, transparency_note
from genmetrics.engine.options import Options, RayOptions
from genmetrics.engine.ray_cluster import cluster, cpus_of, fitting, gpus_of, ray_package
from genmetrics.engine.statistics import OpenedSet, iter_stats_of, open_for_stats
from genmetrics.errors import GenmetricsError, GenmetricsWarning, UsageError
from genmetrics.sources.remote import shown
from genmetrics.stats.io import load_own, save_stats
from genmetrics.stats.merge import merge_stats
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricInfo, MetricsLike, Progress, Shard, SideRecord

__all__ = ["iter_compute_stats_on_ray", "units_of"]

#: How many statistics are merged at once.
_FAN_IN = 8
#: How often a share is begun again after its process was lost; more often it is the share that ends the process.
_MOST_RETRIES = 3
_SECONDS_BETWEEN_REPORTS = 0.5


@dataclass(frozen=True)
class _Job:
    """What every actor is told.

    Attributes:
        source: the images, as they were given.
        metrics: the metrics that will be asked for.
        options: how images are read.
        units: how many shares the set is cut into.
        identity: what the driver knows the set by, so that a node that sees another set says so.
        board: the actor that progress is told to.
    """

    source: str
    metrics: tuple[str | MetricInfo, ...] | str
    options: Options
    units: int
    identity: str
    board: Any


class _Board:
    """An actor: how often each share was begun, how many of its images are done, and our first error, pickled."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._error: bytes | None = None

    def fail(self, error: bytes) -> None:
        """Keep the first error."""
        self._error = self._error or error

    def error(self) -> bytes | None:
        """The first error, if there was one."""
        return self._error

    def begin(self, unit: int) -> int:
        """How often a share has been begun, this time included."""
        self._done[unit] = 0
        self._begun[unit] = self._begun.get(unit, 0) + 1
        return self._begun[unit]

    def tell(self, unit: int, done: int) -> None:
        """Write down how far a share is; one that is begun again begins at zero."""
        self._done[unit] = done

    def total(self) -> int:
        """Images done in all shares."""
        return sum(self._done.values())


class _Reader:
    """The actor that reads shares: it opens the set and makes the networks with the first, and keeps them."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._opened: OpenedSet | None = None

    def __call__(self, rows: Mapping[str, np.ndarray]) -> dict[str, list[bytes]]:
        """The statistics of the one share in ``rows``."""
        (unit,) = (int(number) for number in rows["unit"])
        options = replace(self._job.options, shard=Shard(unit, self._job.units))
        try:
            return {"stats": [_to_bytes(self._read(unit, options))]}
        except GenmetricsError as error:
            # Of an exception Ray keeps the text alone; what is raised here ends the run.
            ray_package().get(self._job.board.fail.remote(pickle.dumps(error)))
            raise

    def _read(self, unit: int, options: Options) -> Stats:
        # Ray itself would begin a share that ends its process again and again.
        begun = ray_package().get(self._job.board.begin.remote(unit))
        if begun > 1 + _MOST_RETRIES:
            raise GenmetricsError(
                f"share {unit}/{self._job.units} of '{shown(self._job.source)}' ended its process "
                f"{begun - 1} times (out of memory?); lower --batch-size or --workers, or find the image with "
                f"'genmetrics stats build … --shard {unit}/{self._job.units}'"
            )
        if self._opened is None:
            self._opened = open_for_stats(self._job.source, self._job.metrics, options)
            self._check_same(self._opened)
        steps = iter_stats_of(self._opened, options)
        told = -_SECONDS_BETWEEN_REPORTS
        done = 0
        while True:
            try:
                done = next(steps).done
            except StopIteration as finished:
                self._job.board.tell.remote(unit, done)
                stats: Stats = finished.value
                return stats.with_side(_without_counts(stats.side, options))
            if time.monotonic() - told >= _SECONDS_BETWEEN_REPORTS:
                self._job.board.tell.remote(unit, done)
                told = time.monotonic()

    def _check_same(self, opened: OpenedSet) -> None:
        options = replace(self._job.options, shard=Shard(0, max(2, self._job.units)))
        chosen = choose(opened.source, options.num, options.seed)
        if set_identity(opened.source, chosen, options.shard) != self._job.identity:
            raise UsageError(
                f"'{shown(self._job.source)}' is another set on a machine ({ray_package().util.get_node_ip_address()}) "
                "than where the run was started; give a path that all machines share, or the address of an object store"
            )


def units_of(count: int, images_per_unit: int) -> int:
    """How many shares a set is cut into."""
    return max(1, -(-count // images_per_unit))


def iter_compute_stats_on_ray(
    source: object, metrics: MetricsLike, options: Options, ray_options: RayOptions
) -> Generator[Progress, None, Stats]:
    """``compute_stats`` on a Ray cluster, as a generator of progress records that returns the statistics.

    Args:
        source: a path, an address or the name of a dataset, which every machine must see.
        metrics: the metrics that will be asked for.
        options: how images are read.
        ray_options: how the set is cut, and what its readers take.

    Raises:
        DependencyError: if ray is not installed.
        UsageError: if options do not go together.
        GenmetricsError: whatever a reader raises, as it is; the run ends with the first.
    """
    text = _check(source, options)
    ray = ray_package()
    options = replace(options, cache=False)
    # In two shares at the least, so that whatever cannot be cut is refused here and not in an actor.
    cut = replace(options, shard=Shard(0, 2))
    opened = open_for_stats(text, metrics, cut)
    chosen = choose(opened.source, options.num, options.seed)
    identity = set_identity(opened.source, chosen, cut.shard)
    assert chosen.count is not None and identity is not None
    units = units_of(chosen.count, ray_options.images_per_unit)
    message = opened.source.description
    yield Progress("ref", 0, chosen.count, message)
    with cluster(ray):
        board = ray.remote(num_cpus=0)(_Board).remote()
        named = metrics if isinstance(metrics, str) else tuple(metrics)
        job = _Job(text, named, options, units, identity, board)
        rows = _rows(ray, job, ray_options)
        found: list[bytes] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                found.extend(row["stats"] for row in rows.iter_rows())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, name="genmetrics-ray", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_SECONDS_BETWEEN_REPORTS)
            if thread.is_alive():
                yield Progress("ref", min(ray.get(board.total.remote()), chosen.count), chosen.count, message)
        if failed:
            told = ray.get(board.error.remote())
            if told is None:
                raise failed[0]
            error: GenmetricsError = pickle.loads(told)
            raise error
        stats = _merged(found)
    yield Progress("ref", chosen.count, chosen.count, message)
    side = _with_counts(stats.side, options)
    if side.num_transparent and options.alpha == "drop":
        note = transparency_note(side.num_transparent, side.num_samples or 0, options)
        warnings.warn(f"'{message}': {note}", GenmetricsWarning, stacklevel=2)
    return stats.with_side(replace(side, parts=(part_of_set(side, chosen, Shard(), identity),)))


def _check(source: object, options: Options) -> str:
    if distributed.current_shard().count > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "--engine ray starts the processes itself, and this is one of several that torchrun started; run "
            "'genmetrics stats build … --engine ray' alone, or leave --engine out"
        )
    if options.resume is not None:
        raise UsageError(
            "'--resume' goes on from checkpoints of this process, and --engine ray does a lost share again by itself; "
            "leave one of the two out"
        )
    if options.shard.count > 1:
        raise UsageError("--engine ray reads all shares of a set, and --shard asks for one; leave one of the two out")
    if not isinstance(source, str | Path):
        raise UsageError(
            f"--engine ray was given a {type(source).__name__}, which is on no machine but in this process; "
            "give a path that all machines share, an address (s3://…) or the name of a dataset"
        )
    return str(source)


def _rows(ray: Any, job: _Job, options: RayOptions) -> Any:
    """The plan: one row a share, read by actors, then merged by eights until one is left."""
    gpus = gpus_of(ray, job.options.device) if options.gpus is None else options.gpus
    cpus = cpus_of(ray, job.options.workers) if options.cpus is None else options.cpus
    most = min(job.units, options.actors or fitting(ray, cpus, gpus))
    least = most if options.actors else 1
    rows = ray.data.from_items([{"unit": unit} for unit in range(job.units)], override_num_blocks=job.units)
    rows.context.execution_options.preserve_order = True
    rows = rows.map_batches(
        _Reader,
        batch_size=1,
        fn_constructor_kwargs={"job": job},
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=2),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    left = job.units
    while left > 1:
        rows = rows.map_batches(_merge_rows, batch_size=_FAN_IN, num_cpus=0.5)
        left = -(-left // _FAN_IN)
    return rows


def _merge_rows(rows: Mapping[str, Any]) -> dict[str, list[bytes]]:
    return {"stats": [_to_bytes(_merged(list(rows["stats"])))]}


def _merged(found: Sequence[bytes]) -> Stats:
    stats = [_from_bytes(data) for data in found]
    return stats[0] if len(stats) == 1 else merge_stats(stats)


def _to_bytes(stats: Stats) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unit.safetensors"
        save_stats(stats, path)
        return path.read_bytes()


def _from_bytes(data: bytes) -> Stats:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unit.safetensors"
        path.write_bytes(data)
        stats = load_own(path)
    return stats.with_side(replace(stats.side, stats_file=""))


def _without_counts(side: SideRecord, options: Options) -> SideRecord:
    """The record of a share without the notes that count, which are made anew of the whole."""
    counting = {
        transparency_note(side.num_transparent, side.num_samples or 0, options),
        skipped_note(len(side.skipped)),
    }
    return replace(side, notes=tuple(note for note in side.notes if note not in counting))


def _with_counts(side: SideRecord, options: Options) -> SideRecord:
    notes = side.notes
    if side.num_transparent:
        notes += (transparency_note(side.num_transparent, side.num_samples or 0, options),)
    if side.skipped:
        notes += (skipped_note(len(side.skipped)),)
    return replace(side, notes=notes)
