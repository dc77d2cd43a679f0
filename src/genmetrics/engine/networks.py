"""The networks of a run, on their device."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from genmetrics import distributed
from genmetrics.engine.options import Options
from genmetrics.errors import DeviceError, UsageError
from genmetrics.extractors.base import Extractor, load_extractor
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import ExtractorRecord, Need

__all__ = ["Networks", "load_networks", "resolve_device"]


@dataclass(frozen=True)
class Networks:
    """Extractors by id, all on one device and at one precision."""

    extractors: Mapping[str, Extractor]
    device: torch.device

    def records(self, needs: Iterable[Need]) -> dict[str, ExtractorRecord]:
        """What a report says of the networks that meet these needs."""
        used: dict[str, set[str]] = {}
        for need in needs:
            used.setdefault(need.extractor, set()).add(need.preprocess)
        return {name: self._record(self.extractors[name], ids) for name, ids in used.items()}

    def _record(self, extractor: Extractor, preprocess: Collection[str]) -> ExtractorRecord:
        return ExtractorRecord(
            extractor.weights.sha256,
            extractor.weights.official,
            extractor.precision,
            {name: get_preprocess(name).as_dict() for name in sorted(preprocess)},
        )


def load_networks(needs: Iterable[Need], options: Options) -> Networks:
    """Load every extractor that the needs name.

    Raises:
        DeviceError: if the device does not exist.
        WeightsError: if an extractor's weights are missing, damaged or refused.
        UsageError: if weights are given for an extractor that is not used.
    """
    device = resolve_device(options.device)
    names = list(dict.fromkeys(need.extractor for need in needs))
    unused = [name for name in options.weights if name not in names]
    if unused:
        raise UsageError(
            f"weights were given for extractor {unused[0]!r}, which the asked metrics do not use "
            f"(they use: {', '.join(names)})"
        )
    extractors = {}
    for name in names:
        path = options.weights.get(name)
        extractor = load_extractor(name, None if path is None else Path(path))
        extractor.to(device, options.precision)
        extractors[name] = extractor
    return Networks(extractors, device)


def resolve_device(name: str) -> torch.device:
    """The device of that name on this machine.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Under torchrun ``cuda`` is the device with
            the process's local rank.

    Raises:
        DeviceError: if the name means nothing, or the machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device {name!r}; expected auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            build = "" if torch.version.cuda else " is a build without CUDA"
            raise DeviceError(
                f"device {name!r} was asked for, but torch {torch.__version__}{build or ' finds no CUDA device'}; "
                "use '--device cpu' (or 'auto', which takes a GPU where there is one)"
            )
        index = distributed.local_rank() if device.index is None else device.index
        if index >= count:
            raise DeviceError(
                f"device 'cuda:{index}' was asked for, but there are {count} CUDA device(s): cuda:0"
                + (f" to cuda:{count - 1}" if count > 1 else "")
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' was asked for, but torch finds none on this machine; use '--device cpu'")
    if device.type not in ("cpu", "mps"):
        raise DeviceError(f"unknown device {name!r}; expected auto, cpu, cuda, cuda:N or mps")
    return device
