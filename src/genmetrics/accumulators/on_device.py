"""What accumulators ask of a device without waiting for it: bad samples, copies to the CPU, the order of streams.

On a CUDA device a plain ``bool(...)`` or ``.cpu()`` stops the calling thread until everything launched so far is done,
and the network idles until the next batch is launched. So copies go to page-locked memory, and are looked at once
they have arrived. On a CPU everything is there at once, and the same calls do the plain thing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from genmetrics.accumulators.base import find_not_finite, find_zero, refuse_not_finite, refuse_zero
from genmetrics.errors import StatisticsError

__all__ = ["Fetched", "LateChecks", "is_late"]

#: How many batches may be on their way to being looked at; a bad sample stops a run at most so many batches later.
_MOST_OPEN = 16

Finder = Callable[[Tensor], Tensor]
Refusal = Callable[[Tensor, Tensor], None]


def is_late(values: Tensor) -> bool:
    """Whether what these values are is known only some time after they were asked for."""
    return values.device.type == "cuda"


class Fetched:
    """A copy of a tensor that is on its way to the CPU."""

    def __init__(self, values: Tensor) -> None:
        """Order the copy, behind what the current stream has to do so far."""
        self._arrived: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            # Page-locked blocks are kept for reuse by torch, which knows when a copy into one is over.
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(values.device))
        else:
            self._host = values.to("cpu", copy=True)

    def ready(self) -> bool:
        """Whether it has arrived."""
        return self._arrived is None or bool(self._arrived.query())  # type: ignore[no-untyped-call]

    def take(self) -> Tensor:
        """The copy, in ordinary memory and the caller's own; waits until it is there."""
        if self._arrived is None:
            return self._host
        self._arrived.synchronize()
        return self._host.clone()


class LateChecks:
    """Refuses bad samples: at once on a CPU, and on a CUDA device as soon as is known without waiting.

    There the batch with the bad sample is in the statistics by then, so they are refused for good: every later call
    raises the same error. One object belongs to one accumulator.
    """

    def __init__(self) -> None:
        self._open: deque[tuple[Fetched, Tensor, Refusal]] = deque()
        self._failure: StatisticsError | None = None
        self._done: torch.cuda.Event | None = None

    def finite(self, values: Tensor, indices: Tensor) -> None:
        """Refuse (n, ...) values with NaN or infinity, now or later.

        Raises:
            StatisticsError: naming the samples of this batch or of an earlier one.
        """
        self._look(values, indices, find_not_finite, refuse_not_finite)

    def nonzero(self, values: Tensor, indices: Tensor) -> None:
        """Refuse (n, d) rows that are all zero, now or later.

        Raises:
            StatisticsError: naming the samples of this batch or of an earlier one.
        """
        self._look(values, indices, find_zero, refuse_zero)

    def begin(self, values: Tensor) -> None:
        """Before an update computes: whatever stream it is on comes after the update before it."""
        if values.device.type == "cuda" and self._done is not None:
            torch.cuda.current_stream(values.device).wait_event(self._done)

    def end(self, values: Tensor) -> None:
        """After all of an update is launched."""
        if values.device.type == "cuda":
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record(torch.cuda.current_stream(values.device))

    def settle(self) -> None:
        """Wait for all updates, so that what they made can be read on any stream.

        Raises:
            StatisticsError: if a sample was bad.
        """
        self._decide(0)
        if self._done is not None:
            self._done.synchronize()

    def _look(self, values: Tensor, indices: Tensor, find: Finder, refuse: Refusal) -> None:
        if not is_late(values):
            refuse(find(values).cpu(), indices)
            return
        self._open.append((Fetched(find(values)), indices.to("cpu", copy=True), refuse))
        self._decide(_MOST_OPEN)

    def _decide(self, most: int) -> None:
        """Look at what has arrived, and wait until at most so many batches are open."""
        while self._failure is None and self._open and (len(self._open) > most or self._open[0][0].ready()):
            flags, indices, refuse = self._open.popleft()
            try:
                refuse(flags.take(), indices)
            except StatisticsError as error:
                self._failure = error
                self._open.clear()
        if self._failure is not None:
            raise self._failure
