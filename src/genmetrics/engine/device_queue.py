"""The order of a device's work: images arrive, networks run and statistics are kept beside one another.

A CUDA device has several rows of work (streams). Images are copied to it on one, from page-locked memory; networks run
on the caller's; accumulators fill on a third, where float64 may be slow without the networks waiting for it; on a
fourth, images that were made on the device are copied back, to be hashed. Nothing here stops the calling thread but one
thing: it never gets more than a few batches ahead of the device, so that memory is bounded. On a CPU there is one row,
and the same calls are no more than what they say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar, Generic, TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.accumulators.on_device import Fetched
from genmetrics.devices import sent

__all__ = ["CudaStreams", "DeviceQueue", "OneStream", "Streams", "device_queue"]

#: How many batches may be launched whose statistics are not done.
_MOST_AHEAD = 4

Stream = TypeVar("Stream")
Event = TypeVar("Event")


class Streams(ABC, Generic[Stream, Event]):
    """What ``DeviceQueue`` needs of a device; streams and events are whatever the device has.

    Attributes:
        launches: whether calls only launch work, and return before it is done.
    """

    launches: ClassVar[bool]

    @abstractmethod
    def current(self) -> Stream:
        """The stream that the calling thread launches on."""

    @abstractmethod
    def new(self) -> Stream:
        """Another stream."""

    @abstractmethod
    def on(self, stream: Stream) -> AbstractContextManager[object]:
        """Launch on that stream inside the block."""

    @abstractmethod
    def record(self, stream: Stream) -> Event:
        """A mark behind all that was launched on the stream so far."""

    @abstractmethod
    def wait(self, stream: Stream, event: Event) -> None:
        """Let what is launched on the stream from now on come after the mark; the caller goes on."""

    @abstractmethod
    def block(self, event: Event) -> None:
        """Let the caller wait for the mark."""

    @abstractmethod
    def copy(self, images: Tensor) -> Tensor:
        """The images on the device, copied on the current stream; a tensor on the CPU may be changed after."""

    @abstractmethod
    def keep_for(self, values: Tensor, stream: Stream) -> None:
        """Do not reuse the tensor's memory before the stream is done with what was launched on it by then."""


class DeviceQueue(Generic[Stream, Event]):
    """Feeds one device without waiting for it.

    Attributes:
        launches: whether calls only launch work, and return before it is done.
    """

    def __init__(self, streams: Streams[Stream, Event], most_ahead: int = _MOST_AHEAD) -> None:
        """Make the streams.

        Args:
            streams: the device.
            most_ahead: how many batches may be launched whose statistics are not done.
        """
        self.launches = streams.launches
        self._streams = streams
        self._most_ahead = most_ahead
        self._copies = streams.new()
        self._statistics = streams.new()
        self._back = streams.new()
        self._ahead: deque[Event] = deque()

    def upload(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        """The images on the device, for the current stream; copied while earlier work there goes on.

        Args:
            images: on the CPU, or made on the current stream of a device; those of this device are taken as they are.
        """
        streams = self._streams
        if images.device.type != "cpu":
            return streams.copy(images)
        with streams.on(self._copies):
            arrived = streams.copy(images)
            done = streams.record(self._copies)
        streams.wait(streams.current(), done)
        streams.keep_for(arrived, streams.current())
        return arrived

    @contextmanager
    def statistics(self, features: Iterable[Tensor]) -> Iterator[None]:
        """Launch inside the block what is made of these features, beside whatever the networks do next.

        Args:
            features: tensors that were made on the current stream.
        """
        streams = self._streams
        made = streams.record(streams.current())
        streams.wait(self._statistics, made)
        for values in features:
            streams.keep_for(values, self._statistics)
        with streams.on(self._statistics):
            yield
        self._ahead.append(streams.record(self._statistics))
        while len(self._ahead) > self._most_ahead:
            streams.block(self._ahead.popleft())

    @contextmanager
    def beside(self, images: Tensor) -> Iterator[Fetched]:
        """A copy of a device's images that is on its way to the CPU, beside what is launched inside the block.

        What is launched on the current stream after the block may change the images.
        """
        streams = self._streams
        made = streams.record(streams.current())
        streams.wait(self._back, made)
        streams.keep_for(images, self._back)
        with streams.on(self._back):
            fetched = Fetched(images)
        arrived = streams.record(self._back)
        try:
            yield fetched
        finally:
            streams.wait(streams.current(), arrived)

    def join(self) -> None:
        """Let what comes on the current stream see the statistics."""
        streams = self._streams
        streams.wait(streams.current(), streams.record(self._statistics))


class OneStream(Streams[None, None]):
    """A device of one row, such as a CPU, which is done with everything when a call returns."""

    launches: ClassVar[bool] = False

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def current(self) -> None:
        """The only one."""

    def new(self) -> None:
        """The only one."""

    def on(self, stream: None) -> AbstractContextManager[object]:
        """Nothing to change."""
        return nullcontext()

    def record(self, stream: None) -> None:
        """All is done."""

    def wait(self, stream: None, event: None) -> None:
        """All is done."""

    def block(self, event: None) -> None:
        """All is done."""

    def copy(self, images: Tensor) -> Tensor:
        """The images on the device."""
        return images.to(self._device)

    def keep_for(self, values: Tensor, stream: None) -> None:
        """What is launched is done."""


class CudaStreams(Streams[torch.cuda.Stream, torch.cuda.Event]):
    """The streams of a CUDA device.

    Source: the notes on CUDA semantics in PyTorch's documentation: asynchronous execution, CUDA streams and the use of
    page-locked memory.
    """

    launches: ClassVar[bool] = True

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def current(self) -> torch.cuda.Stream:
        """The stream that the calling thread launches on."""
        return torch.cuda.current_stream(self._device)

    def new(self) -> torch.cuda.Stream:
        """Another stream."""
        return torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def on(self, stream: torch.cuda.Stream) -> AbstractContextManager[object]:
        """Launch on that stream inside the block."""
        block: AbstractContextManager[object] = torch.cuda.stream(stream)
        return block

    def record(self, stream: torch.cuda.Stream) -> torch.cuda.Event:
        """A mark behind all that was launched on the stream so far."""
        # Blocking: a thread that waits for it sleeps, and leaves its core to those that decode.
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        return event

    def wait(self, stream: torch.cuda.Stream, event: torch.cuda.Event) -> None:
        """Let what is launched on the stream from now on come after the mark."""
        stream.wait_event(event)

    def block(self, event: torch.cuda.Event) -> None:
        """Let the caller wait for the mark."""
        event.synchronize()

    def copy(self, images: Tensor) -> Tensor:
        """The images on the device, by way of page-locked memory, unless they are on a device already."""
        if images.device.type == "cpu":
            return sent(images, self._device)
        return images.to(self._device, non_blocking=True)

    def keep_for(self, values: Tensor, stream: torch.cuda.Stream) -> None:
        """Do not reuse the tensor's memory before the stream is done with it."""
        if values.device.type == "cuda":
            values.record_stream(stream)


def device_queue(device: torch.device) -> DeviceQueue[torch.cuda.Stream, torch.cuda.Event] | DeviceQueue[None, None]:
    """The queue of a device."""
    if device.type == "cuda":
        return DeviceQueue(CudaStreams(device))
    return DeviceQueue(OneStream(device))
