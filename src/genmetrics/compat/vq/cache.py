"""``pretrained/fid/``: where statistics are kept and found, below the current folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from genmetrics.compat.vq.protocol import CROPPED, INCEPTION, PLAIN
from genmetrics.errors import OutputError, SourceError
from genmetrics.files import check_writable
from genmetrics.registry import did_you_mean
from genmetrics.stats.formats.todd import save_todd
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord

__all__ = ["CACHE", "cache_path", "find_statistics", "load_statistics", "prepare_path", "write_statistics"]

CACHE = Path("pretrained/fid")
_TODD = "todd statistics"


def cache_path(name: str) -> Path:
    """Where the statistics of that name are: ``pretrained/fid/imagenet_val.pth``."""
    return CACHE / f"{name}.pth"


def find_statistics(text: str | Path) -> Path:
    """The statistics file that a text means: a name below ``pretrained/fid``, else a path.

    Raises:
        SourceError: if there is neither; the message lists the names that there are.
    """
    named, path = cache_path(str(text)), Path(text).expanduser()
    if named.is_file():
        return named
    if path.is_file():
        return path
    there = sorted(found.stem for found in CACHE.glob("*.pth"))
    makes = "python -m genmetrics.compat.vq.auto_torchrun -m genmetrics.compat.vq.fid imagenet"
    hint = f"{did_you_mean(str(text), there)} in '{CACHE}'" if there else f"'{CACHE}' holds none"
    raise SourceError(
        f"no statistics {str(text)!r}: neither '{named}' nor a file '{text}' exists below '{Path.cwd()}'; {hint}. "
        f"'imagenet_val' is made by `{makes}`"
    )


def load_statistics(path: Path, *, cropped: bool) -> Stats:
    """Read a statistics file of any known format.

    What vq writes does not say how images were cropped. It is taken for what vq does: ``Resize(256)``,
    ``CenterCrop(256)``.

    Args:
        path: the file.
        cropped: whether it will be compared with images that were cropped so here; else with images that come with
            256 pixels a side, of which the crop would leave every one as it is.

    Raises:
        StatisticsError: if it is damaged or holds no statistics.
    """
    stats = Stats.load(path)
    if stats.side.kind != _TODD and cropped:
        return stats
    names = {PLAIN: CROPPED} if cropped else {CROPPED: PLAIN}
    accumulators = {
        replace(need, preprocess=names.get(need.preprocess, need.preprocess)): held
        for need, held in stats.accumulators.items()
    }
    extractors = {
        name: replace(record, preprocess=_renamed(record, names) if name == INCEPTION else record.preprocess)
        for name, record in stats.extractors.items()
    }
    side = stats.side
    if side.kind == _TODD:
        note = "its format does not say how images were cropped; taken for vq's Resize(256) and CenterCrop(256)"
        side = replace(side, notes=(*side.notes, note))
    return replace(stats, accumulators=accumulators, extractors=extractors, side=side)


def _renamed(record: ExtractorRecord, names: Mapping[str, str]) -> dict[str, Mapping[str, object]]:
    # Of another crop's name the steps as data are not the same, and not what is compared here.
    return {names.get(name, name): {} if name in names else spec for name, spec in record.preprocess.items()}


def prepare_path(path: Path) -> None:
    """Make the folder of a file that is to be written, and see that it can be.

    Raises:
        OutputError: if it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    check_writable(path)


def write_statistics(stats: Stats, path: Path) -> None:
    """Write the statistics of images that were measured here, as vq and todd read them.

    Raises:
        OutputError: if it cannot be written; a file that stood there stays as it was.
    """
    (need,) = stats.accumulators
    save_todd(stats, path, need)
