"""The user's own statistics, by name: make, look for and remove them."""

from __future__ import annotations

from pathlib import Path

import torch

from genmetrics import distributed
from genmetrics.compat.cleanfid.feature_sets import announced
from genmetrics.compat.cleanfid.images import PathLike, some_of
from genmetrics.compat.cleanfid.network import CLIP, INCEPTION, DeviceLike, check_mode, network_of
from genmetrics.compat.cleanfid.passes import Way, features_of_images, resize_of, stats_of, stats_of_features
from genmetrics.compat.cleanfid.statistics import (
    CUSTOM,
    CUSTOM_RESOLUTION,
    find_stats,
    new_stats_file,
    stats_name,
)
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.registry import did_you_mean
from genmetrics.stats.formats import write_npz

__all__ = ["make_custom_stats", "remove_custom_stats", "test_stats_exists"]

_BOTH = ("FID", "KID")


@distributed.alone()
def make_custom_stats(
    name: str,
    fdir: PathLike,
    num: int | None = None,
    mode: str = "clean",
    model_name: str = INCEPTION,
    num_workers: int = 0,
    batch_size: int = 64,
    device: DeviceLike = "auto",
    verbose: bool = True,
) -> None:
    """Keep the statistics of a folder under a name, for FID and for KID; clean-fid reads the files too.

    They are used with ``dataset_name=name, dataset_split="custom"``.

    Args:
        name: of the set; upper and lower case are one.
        fdir: a folder of images, or a zip archive.
        num: how many of the images, the first ones by name; None takes all.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        model_name: ``inception_v3`` or ``clip_vit_b_32``.
        num_workers: the most threads that decode; 0 leaves it to us.
        batch_size: images that go through the network at once.
        device: where it runs.
        verbose: whether progress is shown.

    Raises:
        StatisticsError: if there are statistics of that name already.
        GenmetricsError: see ``genmetrics.errors``.
    """
    names = {metric: _file_name(name, mode, model_name, metric) for metric in _BOTH}
    standing = [path for file_name in names.values() for path in find_stats(file_name)]
    if standing:
        raise StatisticsError(
            f"there are statistics {name!r} already: {_listed(standing)}. Remove them first: "
            f"fid.remove_custom_stats({_call(name, mode, model_name)})"
        )
    paths = {metric: new_stats_file(file_name) for metric, file_name in names.items()}
    network = network_of(mode, model_name, device)
    way = Way(network, mode, device, None, resize_of(network), batch_size, num_workers, verbose)
    source = some_of(announced(fdir, verbose), num, False, 0)
    description = f"custom stats: {Path(fdir).name} : "
    stats = stats_of(source, way, description, features=True)
    if stats is None:
        stats = stats_of_features(source, network, torch.cat(list(features_of_images(source, way, description))))
    try:
        for metric, path in paths.items():
            print(f"saving custom {metric} stats to {path}")
            write_npz(stats, path)
    except BaseException:
        for path in paths.values():  # one without the other would stand in the way of the next try
            path.unlink(missing_ok=True)
        raise


def remove_custom_stats(name: str, mode: str = "clean", model_name: str = INCEPTION) -> None:
    """Remove statistics that were kept under a name, of FID and of KID.

    Args:
        name: of the set; upper and lower case are one.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        model_name: ``inception_v3`` or ``clip_vit_b_32``.

    Raises:
        StatisticsError: if there are none.
        OutputError: if a file cannot be removed.
    """
    names = [_file_name(name, mode, model_name, metric) for metric in _BOTH]
    standing = [path for file_name in names for path in find_stats(file_name)]
    if not standing:
        raise StatisticsError(f"there are no statistics {name!r}: looked for {' and '.join(names)}")
    for path in standing:
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove '{path}': {error.strerror or error}") from error


def test_stats_exists(  # clean-fid's name, and no test
    name: str,
    mode: str,
    model_name: str = INCEPTION,  # noqa: PT028
    metric: str = "FID",  # noqa: PT028
) -> bool:
    """Whether statistics were kept under a name.

    Args:
        name: of the set; upper and lower case are one.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        model_name: ``inception_v3`` or ``clip_vit_b_32``.
        metric: ``FID`` or ``KID``.

    Raises:
        UsageError: if there is no such mode, model or metric.
    """
    return bool(find_stats(_file_name(name, mode, model_name, metric)))


# pytest takes what begins so for a test wherever it is imported.
test_stats_exists.__test__ = False  # type: ignore[attr-defined]


def _file_name(name: str, mode: str, model_name: str, metric: str) -> str:
    check_mode(mode)
    if model_name not in (INCEPTION, CLIP):
        raise UsageError(f"model_name {model_name!r}: {did_you_mean(model_name, [INCEPTION, CLIP])}")
    return stats_name(name, mode, model_name, CUSTOM, CUSTOM_RESOLUTION, metric)


def _call(name: str, mode: str, model_name: str) -> str:
    return f"{name!r}, mode={mode!r}" + ("" if model_name == INCEPTION else f", model_name={model_name!r}")


def _listed(paths: list[Path]) -> str:
    return " and ".join(f"'{path}'" for path in paths)
