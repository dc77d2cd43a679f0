"""Lets glibc keep the memory that torch's tensors leave, so that the next ones are not made of fresh pages.

A network that torch runs on the CPU makes and drops tensors of many megabytes, layer after layer. As glibc comes, it
takes each one of more than 32 MiB from the system and gives it back when it is freed, and then the kernel fills the
pages of the next one with zeros. Above these thresholds the memory stays in the process and is used again.

OpenVINO keeps its own memory, so that it is for torch alone. ``benchmarks/allocator.py`` measures what it brings and
costs, and writes benchmarks/results/allocator.json.

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


def keep_freed_memory(backend: BackendChoice, device: str) -> bool:
    """Raise the sizes from which on glibc takes memory from the system alone, and gives it back.

    Networks are not known yet, for that takes torch, whose own memory is to be kept too. So it is done

    - for ``cpu`` and ``auto`` as the device, and then also where ``auto`` turns out to be a GPU; never for another;
    - with the backend ``torch`` or ``reference``; with ``auto`` where OpenVINO is not installed, and then not even for
      networks that would run on torch all the same, such as DINOv2 and CLIP; never with ``openvino``, unless that is
      missing and the run is about to be refused;
    - where the C library is glibc and the environment says nothing of its memory.

    Args:
        backend: what the run was asked to compute networks on.
        device: the device that it was asked to compute on.

    Returns:
        Whether it was done.
    """
    if device.partition(":")[0] not in ("auto", "cpu"):
        return False
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
