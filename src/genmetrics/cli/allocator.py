"""Lets glibc keep the memory that torch's tensors leave, so that the next ones are not made of fresh pages.

A network that torch runs on the CPU makes and drops tensors of many megabytes, layer after layer. As glibc comes, it
takes each one of more than 32 MiB from the system and gives it back when it is freed, and then the kernel fills the
pages of the next one with zeros. Above these thresholds the memory stays in the process and is used again.

``benchmarks/allocator.py`` measures what that brings. Inception-v3 on torch over 2 x 50 images took 20 s of CPU time in
place of 24, at a peak of 1063 MiB in place of 914; 64 MiB as the threshold brought little, and 1 or 4 GiB no more.
OpenVINO keeps its own memory: it became no faster and its peak higher, 822 MiB in place of 749. So it is for torch
alone.

The thresholds are the process's, so that only commands set them, and never a call of the library: who calls that sets
the environment variables below before Python starts. Whoever has set one of them has chosen already.
"""

from __future__ import annotations

import importlib.util
import os

from genmetrics.types import BackendChoice

__all__ = ["VARIABLES", "keep_freed_memory"]

#: What glibc reads itself when a process starts.
VARIABLES = (
    *("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_"),
    *("MALLOC_ARENA_MAX", "MALLOC_ARENA_TEST"),
)
# From malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20
_KEPT = 256 * _MIB
_STEP = 64 * _MIB
_MOST_OF_OLD = 32 * _MIB


def keep_freed_memory(backend: BackendChoice) -> bool:
    """Raise the sizes from which on glibc takes memory from the system alone, and gives it back.

    Args:
        backend: what the run was asked to compute networks on.

    Returns:
        Whether it was done: not without glibc, nor where the environment has chosen, nor for OpenVINO.
    """
    on_torch = backend in ("torch", "reference") or importlib.util.find_spec("openvino") is None
    tuned = "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    if not on_torch or tuned or any(name in os.environ for name in VARIABLES) or not _on_glibc():
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    # Before glibc 2.35 the first takes no more than 32 MiB.
    done = mallopt(_M_MMAP_THRESHOLD, _KEPT) or mallopt(_M_MMAP_THRESHOLD, _MOST_OF_OLD)
    return bool(done and mallopt(_M_TRIM_THRESHOLD, _KEPT) and mallopt(_M_TOP_PAD, _STEP))


def _on_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows has no confstr, other systems no such name
        return False
