"""The networks of a run, on their device."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import torch

from genmetrics import distributed
from genmetrics.engine.options import Options
from genmetrics.errors import DeviceError, UsageError
from genmetrics.extractors.backends.choose import backend_name
from genmetrics.extractors.base import Extractor, has_backends, load_extractor, locate_weights
from genmetrics.extractors.weights import WeightsFile
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import ExtractorRecord, Need

__all__ = ["Networks", "resolve_device"]


class Networks:
    """The extractors of a run, on one device and at one precision, each built when it is first used.

    What the weights are is known without building: where all statistics are there already, no network is built.

    Attributes:
        device: where the networks run.
        precision: how exactly they compute.
    """

    def __init__(self, names: Iterable[str], options: Options, known: Iterable[str] = ()) -> None:
        """Find device and weights.

        Args:
            names: ids of the extractors that may have to run.
            known: ids of others that the metrics use, whose features are all there.
            options: device, precision and weight files.

        Raises:
            DeviceError: if the device does not exist.
            WeightsError: if an extractor's weights are missing or refused.
            UnknownNameError: if there is no extractor of a name.
            UsageError: if weights are given for an extractor that is not used, or the backend cannot run one.
            DependencyError: if the backend is not installed.
        """
        self.device = resolve_device(options.device)
        self.precision = options.precision
        self._backend = options.backend
        self._given: dict[str, Path | None] = {}
        self._found: dict[str, WeightsFile] = {}
        self._built: dict[str, Extractor] = {}
        names = list(dict.fromkeys(names))
        used = list(dict.fromkeys([*names, *known]))
        unused = [name for name in options.weights if name not in used]
        if unused:
            raise UsageError(
                f"weights were given for extractor {unused[0]!r}, which the asked metrics do not use "
                f"(they use: {', '.join(used)})"
            )
        for name in names:
            self.backend(name)
            path = options.weights.get(name)
            self._given[name] = None if path is None else Path(path)
            found = locate_weights(name, self._given[name])
            if found is None:
                self.extractor(name)
            else:
                self._found[name] = found

    def extractor(self, name: str) -> Extractor:
        """The network of that name, built now if it was not yet.

        Raises:
            WeightsError: if the weights are damaged or do not fit.
        """
        if name not in self._built:
            extractor = load_extractor(name, self._given[name])
            extractor.to(self.device, self.precision, self._backend)
            self._built[name] = extractor
        return self._built[name]

    def weights(self, name: str) -> WeightsFile:
        """The weight file of an extractor, which need not be built for it."""
        return self._built[name].weights if name in self._built else self._found[name]

    def backend(self, name: str) -> str:
        """What an extractor's network runs on.

        Raises:
            UsageError: if the backend that was asked for cannot run it, here or at this precision.
            DependencyError: if it is not installed.
        """
        if has_backends(name):
            return backend_name(self._backend, self.device, self.precision)
        if self._backend == "openvino":
            raise UsageError(
                f"backend 'openvino' was asked for, and extractor {name!r} runs on torch alone; leave '--backend' out, "
                "which takes OpenVINO for the networks that it can run"
            )
        return "torch"

    def can_be_cached(self, name: str) -> bool:
        """Whether an extractor is known by its id and weights alone."""
        return name in self._found

    def record(self, need: Need) -> ExtractorRecord:
        """What a report says of the network that meets a need."""
        return self._record(need.extractor, [need.preprocess])

    def records(self, needs: Iterable[Need]) -> dict[str, ExtractorRecord]:
        """What a report says of the networks that meet these needs."""
        used: dict[str, set[str]] = {}
        for need in needs:
            used.setdefault(need.extractor, set()).add(need.preprocess)
        return {name: self._record(name, ids) for name, ids in used.items()}

    def _record(self, name: str, preprocess: Collection[str]) -> ExtractorRecord:
        weights = self.weights(name)
        specs = {spec: get_preprocess(spec).as_dict() for spec in sorted(preprocess)}
        return ExtractorRecord(weights.sha256, weights.official, self.precision, specs, self.backend(name))


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
            shared = (
                f"; each process takes the one of its local rank: start at most {count} a machine, torchrun "
                f"--nproc-per-node {count}"
            )
            raise DeviceError(
                f"device 'cuda:{index}' was asked for, but there are {count} CUDA device(s): cuda:0"
                + (f" to cuda:{count - 1}" if count > 1 else "")
                + (shared if device.index is None else "")
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' was asked for, but torch finds none on this machine; use '--device cpu'")
    if device.type not in ("cpu", "mps"):
        raise DeviceError(f"unknown device {name!r}; expected auto, cpu, cuda, cuda:N or mps")
    return device
