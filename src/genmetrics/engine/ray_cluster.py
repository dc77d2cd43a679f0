"""The package ray, the cluster that is used, and what it has room for.

The only file that imports ray.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genmetrics.errors import DependencyError

__all__ = ["cluster", "cpus_of", "fitting", "gpus_of", "ray_package"]

_QUIET = ("ray", "ray.data", "ray.tune", "ray.serve", "ray.train")


def ray_package() -> Any:
    """The package.

    Raises:
        DependencyError: if it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as error:
        raise DependencyError(
            f"--engine ray needs the package 'ray' ({error}); install it with pip install 'genmetrics[ray]'"
        ) from error
    return ray


@contextmanager
def cluster(ray: Any) -> Iterator[None]:
    """The cluster that is there, or one of this machine alone that ends with the block; either way quiet."""
    started = not ray.is_initialized()
    if started:
        address = (
            {"address": os.environ["RAY_ADDRESS"]}
            if os.environ.get("RAY_ADDRESS")
            else {"_node_ip_address": "127.0.0.1"}
        )
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False, **address)
    try:
        with _quiet(ray):
            yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """No bars and no log lines of Ray Data inside; what went wrong is in the error."""
    context = ray.data.DataContext.get_current()
    bars, levels = context.enable_progress_bars, {name: logging.getLogger(name).level for name in _QUIET}
    context.enable_progress_bars = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def fitting(ray: Any, cpus: float | int, gpus: float | int) -> int:
    """How many readers the cluster has room for now, with a little left for merging."""
    there = ray.cluster_resources()
    by_cpu = (there.get("CPU", 1.0) - 0.5) // cpus if cpus else float("inf")
    return int(max(1, min(by_cpu, there.get("GPU", 0.0) // gpus if gpus else float("inf"))))


def gpus_of(ray: Any, device: str) -> int:
    """GPUs of a reader: one where the cluster has any and the device allows it."""
    if device.startswith("cuda"):
        return 1
    return 1 if device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1 else 0


def cpus_of(ray: Any, workers: int | None) -> int:
    """Cores of a reader: as many as it has decoding threads, or four, and half of a small machine."""
    if workers:
        return workers
    return max(1, min(4, int(ray.cluster_resources().get("CPU", 2)) // 2))
