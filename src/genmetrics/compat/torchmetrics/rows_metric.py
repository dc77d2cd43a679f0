"""Metrics that keep features, and their coming together over processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from genmetrics.compat.torchmetrics.metric import ImageMetric
from genmetrics.compat.torchmetrics.rows_state import Gather, agreed, gathering_on, header, joined
from genmetrics.errors import StatisticsError

__all__ = ["RowsMetric"]


class RowsMetric(ImageMetric):
    """A metric that keeps features, in lists of tensors.

    Attributes:
        row_states: the names of the lists.
    """

    row_states: ClassVar[tuple[str, ...]]

    _shared_seed: int | None = None

    def _add_row_states(self) -> None:
        for name in self.row_states:
            self.add_state(name, [], dist_reduce_fx=None)

    def sync(
        self,
        dist_sync_fn: Gather | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        distributed_available: Callable[..., Any] | None = None,
    ) -> None:
        """Bring the features of all processes together, however many batches each has had.

        Args:
            dist_sync_fn: as for torchmetrics.
            process_group: likewise.
            should_sync: likewise.
            distributed_available: likewise.
        """
        available = distributed_available or self.distributed_available_fn
        gather: Gather = dist_sync_fn or gather_all_tensors
        if should_sync and not self._is_synced and callable(available) and available():
            rows = [joined(getattr(self, name)) for name in self.row_states]
            before = torch.get_rng_state()
            told = gather(header(rows, self.device), group=process_group or self.process_group)
            self._shared_seed, types = agreed(told)
            if len(told) == 1:  # a group of one process draws as a process without a group
                self._shared_seed = None
                torch.set_rng_state(before)
            for name, values, dtype in zip(self.row_states, rows, types, strict=True):
                setattr(self, name, [values.to(dtype)])
            gather = gathering_on(self.device, gather)
        super().sync(gather, process_group, should_sync, distributed_available)

    def _draws(self) -> torch.Generator | None:
        """What random choices come from: torch's own generator, and on several processes one that all have alike."""
        if not self._is_synced or self._shared_seed is None:
            return None
        return torch.Generator("cpu").manual_seed(self._shared_seed)

    def _rows(self, name: str) -> Tensor:
        """All rows of a list.

        Raises:
            StatisticsError: if one is NaN or infinite.
        """
        rows = joined(getattr(self, name))
        if not bool(torch.isfinite(rows).all()):
            raise StatisticsError(
                f"{type(self).__name__}: {name} has values that are NaN or infinite; look at the images and the "
                "network's weights"
            )
        return rows
