"""A device that answers when it likes, made up on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from genmetrics.accumulators import on_device
from genmetrics.engine.device_queue import Streams

__all__ = ["Arriving", "Recorded", "waiting_is_an_error"]


class Arriving(on_device.Fetched):
    """A copy that has not arrived, and holds nothing of use, until somebody waits for it."""

    all_arrived = False
    most_open = 0
    open = 0

    def __init__(self, values: Tensor) -> None:
        super().__init__(torch.zeros_like(values))
        self._there = values.clone()
        Arriving.open += 1
        Arriving.most_open = max(Arriving.most_open, Arriving.open)

    def ready(self) -> bool:
        return Arriving.all_arrived

    def take(self) -> Tensor:
        Arriving.open -= 1
        return self._there


class Recorded(Streams[str, int]):
    """Numbers streams and marks, and writes down what is asked of it."""

    launches = True

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.names = iter(("copies", "statistics", "back"))
        self.stack = ["main"]
        self.marks = 0

    def current(self) -> str:
        return self.stack[-1]

    def new(self) -> str:
        return next(self.names)

    @contextmanager
    def on(self, stream: str):
        self.stack.append(stream)
        try:
            yield
        finally:
            self.stack.pop()

    def record(self, stream: str) -> int:
        self.marks += 1
        self.log.append(("record", stream, self.marks))
        return self.marks

    def wait(self, stream: str, event: int) -> None:
        self.log.append(("wait", stream, event))

    def block(self, event: int) -> None:
        self.log.append(("block", event))

    def copy(self, images: Tensor) -> Tensor:
        self.log.append(("copy", self.current()))
        return images.clone()

    def keep_for(self, values: Tensor, stream: str) -> None:
        self.log.append(("keep", stream))

    def launch(self, what: str) -> None:
        self.log.append((what, self.current()))


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """A call that waits for a CUDA device, such as ``bool(...)`` or a plain copy, raises a ``RuntimeError``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode of torch does not notice everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
