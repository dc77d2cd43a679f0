"""What pytorch-fid's command does, on the engine: the FID of two paths, and the statistics of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from genmetrics import distributed
from genmetrics.accumulators.moments import Moments
from genmetrics.cli.progress import showing_progress
from genmetrics.compat.pytorch_fid.activations import Device, device_name, lower_batch_size
from genmetrics.compat.pytorch_fid.sides import STATISTICS_ENDING, moments_of, open_side
from genmetrics.compat.pytorch_fid.speaking import is_first, tell, unofficial
from genmetrics.engine.evaluate import compute_stats, evaluate
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.files import check_writable, write_atomically
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.report.report import Report
from genmetrics.stats.formats.build import NO_COUNT, UNSTATED
from genmetrics.stats.stats import Stats
from genmetrics.types import Need

__all__ = ["calculate_fid_given_paths", "save_fid_stats"]

_METRICS = {64: "fid_pytorch_64", 192: "fid_pytorch_192", 768: "fid_pytorch_768", 2048: "fid_pytorch"}
#: What no file of pytorch-fid's says is no news; that it is taken for the asked layer is said beside the number.
_NO_NEWS = (UNSTATED, NO_COUNT)


def calculate_fid_given_paths(
    paths: Sequence[str | Path], batch_size: int, device: Device | None, dims: int, num_workers: int = 1
) -> np.float64:
    """The FID of two sets: the metric ``fid_pytorch``, or ``fid_pytorch_64`` … for other dims.

    Statistics of folders are kept and found again, as by ``genmetrics.evaluate``; see ``genmetrics cache``. Under an
    initialised ``torch.distributed`` all ranks call it and share the images.

    Args:
        paths: two of them, each a folder of images or an ``.npz`` of ``mu`` and ``sigma``.
        batch_size: the most images that go through the network at once; it does not change the number.
        device: such as ``cuda:0``; None takes the first GPU, else the CPU. As in pytorch-fid before 0.2, True is the
            GPU and False the CPU.
        dims: the layer: 64, 192, 768 or 2048. Of two ``.npz`` of another width it plays no part.
        num_workers: threads that read images; 0 reads them in this one.

    Raises:
        GenmetricsError: see ``genmetrics.errors``; paths, statistics and weights are checked before the first image.
    """
    metric = _metric(dims)
    with distributed.shared_run("calculate_fid_given_paths"):
        first, second = _two(paths)
        sides = (open_side(first), open_side(second))
        given = [side for side in sides if isinstance(side, Stats)]
        if any(moments_of(stats).width != dims for stats in given):
            return _of_another_layer(given, dims)
        for side in sides:
            if not isinstance(side, Stats):
                lower_batch_size(batch_size, len(side))
        with showing_progress(quiet=not is_first()) as progress:
            report = evaluate(
                *sides,
                [metric],
                device=device_name(device),
                batch_size=batch_size,
                workers=num_workers,
                # pytorch-fid compares whatever is called mu and sigma; what a file says of itself is warned of.
                force=True,
                error_bars="off",
                progress=progress,
            )
    tell(_warnings(report, metric))
    return np.float64(report[metric].value)


def save_fid_stats(
    paths: Sequence[str | Path], batch_size: int, device: Device | None, dims: int, num_workers: int = 1
) -> None:
    """Write the mean and covariance of a set as ``mu`` and ``sigma`` of a compressed ``.npz``, in float64.

    Args:
        paths: the set, a folder or an ``.npz``; and the file. Where its name does not end in ``.npz``, that is added.
        batch_size: as in ``calculate_fid_given_paths``, and so are the other arguments.
        device: where the network runs.
        dims: the layer.
        num_workers: threads that read images.

    Raises:
        OutputError: if the file is there already, under the name that is given or the one that is written, or cannot
            be written.
        GenmetricsError: see ``genmetrics.errors``; paths and weights are checked before the first image.
    """
    metric = _metric(dims)
    with distributed.shared_run("save_fid_stats"):
        source, given = _two(paths)
        target = Path(given if str(given).endswith(STATISTICS_ENDING) else f"{given}{STATISTICS_ENDING}").expanduser()
        side = open_side(source)
        if is_first():
            _check_new(Path(given).expanduser(), target)
            check_writable(target)
            print(f"Saving statistics for {source}")
        if isinstance(side, Stats):
            moments = moments_of(side)
        else:
            lower_batch_size(batch_size, len(side))
            with showing_progress(quiet=not is_first()) as progress:
                stats = compute_stats(
                    side,
                    [metric],
                    device=device_name(device),
                    batch_size=batch_size,
                    workers=num_workers,
                    progress=progress,
                )
            info = METRICS.get(metric)
            moments = cast(Moments, stats.get(Need(info.extractor, info.preprocess, info.feature, "moments")))
            tell(f"'{source}': {note}" for note in stats.side.notes)
            record = stats.extractors[info.extractor]
            if record.official is False:
                tell([unofficial(info.extractor, record.weights_sha256)])
        mu, sigma = moments.mean().cpu().numpy(), moments.covariance().cpu().numpy()
        if is_first():
            _check_new(Path(given).expanduser(), target)
            _write(target, mu, sigma)
    if str(target) != str(Path(given).expanduser()):
        tell([f"the statistics are in '{target}', for names of statistics end in {STATISTICS_ENDING}"])


def _metric(dims: int) -> str:
    if dims not in _METRICS:
        raise UsageError(f"dims {dims!r}: expected one of {', '.join(map(str, _METRICS))}")
    return _METRICS[dims]


def _two(paths: Sequence[str | Path]) -> tuple[str | Path, str | Path]:
    if isinstance(paths, str | Path) or len(paths) != 2:
        raise UsageError(f"paths {paths!r}: expected two, such as ['samples', 'reference.npz']")
    return paths[0], paths[1]


def _of_another_layer(given: Sequence[Stats], dims: int) -> np.float64:
    """The distance of two files of statistics that are not of the asked layer; for these nothing has to run.

    Raises:
        StatisticsError: if one is to be compared with images, or they are of unlike widths.
    """
    widths = {stats.name: moments_of(stats).width for stats in given}
    held = " and ".join(f"'{name}' holds the mean and covariance of {width} features" for name, width in widths.items())
    if len(given) < 2:
        (width,) = widths.values()
        raise StatisticsError(
            f"{held}, and {dims} are asked for of the images; expected the same layer on both sides: give --dims "
            f"{width} (dims={width}) if it is of such a layer, or make it again with --save-stats --dims {dims}"
        )
    if len(set(widths.values())) > 1:
        raise StatisticsError(f"{held}; expected statistics of the same layer, made with the same --dims")
    gen, ref = (moments_of(stats) for stats in given)
    return np.float64(frechet_distance(gen, ref))


def _warnings(report: Report, metric: str) -> list[str]:
    """What the report says beside the number, with the paths in place of our names for the sides."""
    found = list(report.notes)
    for side in (report.gen, report.ref):
        if side is not None:
            found += [f"'{side.source}': {note}" for note in side.notes if note not in _NO_NEWS]
    return [*found, *report[metric].warnings]


def _check_new(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise OutputError(
                f"'{path}' exists, and statistics are written to new files only; remove it or give another"
            )


def _write(target: Path, mu: np.ndarray, sigma: np.ndarray) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # under a name it would be given the ending once more
            np.savez_compressed(file, mu=mu, sigma=sigma)

    write_atomically(target, write)
