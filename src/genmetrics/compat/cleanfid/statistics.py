"""clean-fid's files of statistics: their names, where they are, reading, writing and fetching them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from genmetrics.download import DownloadError, download
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.files import check_writable
from genmetrics.registry import did_you_mean
from genmetrics.stats.cache import FOLDER, OFF
from genmetrics.stats.stats import Stats

__all__ = [
    "CUSTOM",
    "CUSTOM_RESOLUTION",
    "PUBLISHED",
    "STATS_URL",
    "fetch_stats",
    "find_stats",
    "found_stats",
    "new_stats_file",
    "stats_folders",
    "stats_name",
]

STATS_URL = "https://www.cs.cmu.edu/~clean-fid/stats/"
#: What stands for split and resolution in the names of the user's own statistics.
CUSTOM, CUSTOM_RESOLUTION = "custom", "na"
#: The published sets: resolutions and splits, by name.
PUBLISHED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "cifar10": ("32", "train, test"),
        "ffhq": ("1024, 256", "trainval, trainval70k"),
        "lsun_church": ("256", "train, trainfull"),
        "lsun_horse": ("256", "train"),
        "lsun_cat": ("256", "train"),
        "afhq_cat": ("512", "train"),
        "afhq_dog": ("512", "train"),
        "afhq_wild": ("512", "train"),
        "brecahad": ("512", "train"),
        "metfaces": ("1024", "train"),
        "horse2zebra": ("256", "test"),
        "cat2dog": ("256", "test"),
    }
)
_METRICS = {"FID": ".npz", "KID": "_kid.npz"}


def stats_folders() -> tuple[Path, ...]:
    """Where files of statistics are looked for, first to last: an installed clean-fid's folder, then ours.

    Ours is ``clean-fid`` in ``GENMETRICS_CACHE`` or ``~/.cache/genmetrics``.
    """
    given = os.environ.get(FOLDER, "")
    if given and given.lower() != OFF:
        ours = Path(given).expanduser()
    else:
        ours = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genmetrics"
    theirs = _package_folder()
    return (ours / "clean-fid",) if theirs is None else (theirs / "stats", ours / "clean-fid")


def _package_folder() -> Path | None:
    """Where the package ``cleanfid`` is installed, found without importing it."""
    try:
        spec = importlib.util.find_spec("cleanfid")
    except ValueError:  # a module of that name without a spec
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def stats_name(name: str, mode: str, model_name: str, split: str, res: int | str, metric: str) -> str:
    """The name of a file of statistics, in lower case.

    Args:
        name: of the set.
        mode: clean-fid's mode.
        model_name: ``inception_v3`` or another.
        split: of the set; ``custom`` for the user's own.
        res: its resolution.
        metric: ``FID`` or ``KID``.

    Raises:
        UsageError: if it is another metric, or the name is no part of a file's name.
    """
    if metric not in _METRICS:
        raise UsageError(f"metric {metric!r}: {did_you_mean(metric, list(_METRICS))}")
    model = "" if model_name == "inception_v3" else f"_{model_name}"
    resolution = CUSTOM_RESOLUTION if split == CUSTOM else res
    file_name = f"{name}_{mode}{model}_{split}_{resolution}{_METRICS[metric]}".lower()
    if not name or "/" in file_name or os.sep in file_name:
        raise UsageError(f"name {name!r}: expected the name of a set, without folders, such as 'my_dataset'")
    return file_name


def find_stats(file_name: str) -> list[Path]:
    """The files of that name that there are, the one that is read first."""
    return [folder / file_name for folder in stats_folders() if (folder / file_name).is_file()]


def found_stats(name: str, mode: str, model_name: str, split: str, res: int | str, metric: str) -> Path:
    """The file of a set's statistics, fetched from clean-fid's server if it is not there.

    Raises:
        StatisticsError: if it is not there and cannot be fetched; the message names the ways out.
    """
    file_name = stats_name(name, mode, model_name, split, res, metric)
    found = find_stats(file_name)
    if found:
        return found[0]
    if split == CUSTOM:
        ending = file_name[len(name) :]
        known = sorted(
            {path.name.removesuffix(ending) for folder in stats_folders() for path in _custom(folder, ending)}
        )
        hint = f" Made so far: {', '.join(known)}." if known else ""
        raise StatisticsError(
            f"there are no custom statistics {name!r} of mode {mode!r} and model {model_name!r} (looked for "
            f"'{file_name}' in {_places()}).{hint} Make them: "
            f"fid.make_custom_stats({name!r}, 'path/to/images', mode={mode!r}"
            + ("" if model_name == "inception_v3" else f", model_name={model_name!r}")
            + ")"
        )
    # Ours: what is fetched is no part of an installed package.
    target = new_stats_file(file_name, stats_folders()[-1:])
    try:
        return fetch_stats(STATS_URL + quote(file_name), target)
    except DownloadError as error:
        if name.lower() in PUBLISHED:
            res_of, splits = PUBLISHED[name.lower()]
            hint = f"published of {name.lower()}: dataset_res {res_of}; dataset_split {splits}"
        else:
            hint = f"published sets: {', '.join(PUBLISHED)}"
        raise StatisticsError(
            f"the statistics '{file_name}' are in none of {_places()}, and downloading {STATS_URL}{file_name} failed: "
            f"{error}\n"
            f"  another name or split:  {hint}\n"
            f"  no network here:        fetch the address above elsewhere and put the file into '{target.parent}'\n"
            "  from images:            give their folder as fdir2, or fid.make_custom_stats(name, folder) and "
            "dataset_split='custom'"
        ) from error


def fetch_stats(url: str, target: Path) -> Path:
    """Download a file of statistics; it appears under its name only when it is whole and holds some.

    Raises:
        DownloadError: if it cannot be had, or is none.
        OutputError: if it cannot be written.
    """
    print(f"downloading statistics to {target}")
    beside = target.with_name(f".{target.name}.{os.getpid()}.npz")
    try:
        download(url, beside, "sha256", "")
        Stats.load(beside)
        beside.replace(target)
    except StatisticsError as error:
        raise DownloadError(f"what came is no file of statistics ({error})") from error
    except OSError as error:
        raise OutputError(f"cannot write '{target}': {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return target


def new_stats_file(file_name: str, folders: Sequence[Path] = ()) -> Path:
    """Where a file of that name is written: the first folder that can be; the folder is made.

    Args:
        file_name: the file's.
        folders: those to try; none for all that are read.

    Raises:
        OutputError: if there is none.
    """
    reasons = []
    for folder in folders or stats_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            check_writable(folder / file_name)
        except (OSError, OutputError) as error:
            reasons.append(str(error))
            continue
        return folder / file_name
    raise OutputError(f"no folder for statistics can be written: {'; '.join(reasons)}; set {FOLDER} to one that can")


def _custom(folder: Path, ending: str) -> list[Path]:
    return [path for path in folder.glob(f"*{ending}") if path.is_file()] if folder.is_dir() else []


def _places() -> str:
    return " and ".join(f"'{folder}'" for folder in stats_folders())
