"""Lets glibc keep the memory that tensors leave, so that the next ones are not made of fresh pages.

A network on the CPU makes and drops tensors of many megabytes, layer after layer. As glibc comes, it takes each one of
more than 32 MiB from the system and gives it back when it is freed, and then the kernel fills the pages of the next one
with zeros. Above these thresholds the memory stays in the process and is used again.

MEASURED

The thresholds are the process's, so that only commands set them, and never a call of the library: who calls that sets
the environment variables below before Python starts. Whoever has set one of them has chosen already.
"""

from __future__ import annotations

import os

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


def keep_freed_memory() -> bool:
    """Raise the sizes from which on glibc takes memory from the system alone, and gives it back.

    Returns:
        Whether it was done: not without glibc, nor where the environment has chosen.
    """
    tuned = "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or any(name in os.environ for name in VARIABLES) or not _on_glibc():
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
