"""What a benchmark's result says of the machine and the packages that it ran on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from genmetrics.versions import versions

__all__ = ["environment"]


def environment() -> dict[str, object]:
    """Date, versions and hardware."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "hardware": {
            "cores": os.cpu_count(),
            "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            "machine": platform.machine(),
            "processor": _processor(),
        },
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
