"""Mean and covariance of a feature in one pass and constant memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator, check_finite, check_same
from genmetrics.accumulators.on_device import LateChecks, is_late
from genmetrics.errors import StatisticsError
from genmetrics.linalg import centred_row_factor, covariance_factor, unit_rows

__all__ = ["Moments", "fold_rows"]

_BLOCK = 512


def fold_rows(
    mean: Float64[Tensor, " d"], m2: Float64[Tensor, "d d"], num_samples: int, rows: Float64[Tensor, "n d"]
) -> int:
    """Chan's update with a batch, in place: its centred rows, and one more for the shift between the means.

    Args:
        mean: (d,) float64 of the samples so far.
        m2: (d, d) float64, their centred second moment: the sum of the centred rows' outer products.
        num_samples: how many they are.
        rows: (n, d) float64 that are added, at least one, on the same device.

    Returns:
        How many samples there are now.
    """
    batch = rows.shape[0]
    total = num_samples + batch
    batch_mean = rows.mean(dim=0)
    shift = batch_mean - mean
    weight = (num_samples * batch / total) ** 0.5
    stacked = torch.cat((rows - batch_mean, (shift * weight)[None]))
    m2.addmm_(stacked.T, stacked)
    mean += shift * (batch / total)
    return total


class Moments(Accumulator):
    """Count, mean and centred second moment of (n, d) features in float64.

    Up to d rows are kept as they are, which takes no more memory than the covariance and makes the case of few
    samples exact. Beyond that the rows are folded in by the pairwise update of Chan et al., which is right for
    features of any offset and scale, where sums of squares cancel.

    With ``unit_norm`` every row is divided by its Euclidean norm in float64 before anything else, and all figures
    are of the unit vectors.

    Source: Chan, Golub and LeVeque 1979, equation 2.1.
    Matches: ``numpy.mean`` and ``numpy.cov`` (ddof 1) to 1e-12 relative; tests/accumulators/test_moments.py.
    """

    #: Whether it is known how many samples these are of; False only for the mean and covariance of a file that
    #: does not say. Such moments can be compared, and neither fed nor merged.
    counted: bool

    def __init__(self, width: int, *, unit_norm: bool = False) -> None:
        self.width = width
        self.unit_norm = unit_norm
        self.num_samples = 0
        self.counted = True
        self._rows: list[Tensor] = []
        self._mean: Tensor | None = None
        self._m2: Tensor | None = None
        self._factor: Tensor | None = None
        self._late = LateChecks()

    @torch.inference_mode(
        mode=False
    )  # what is made here is changed in place by later calls, which may be outside of it
    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Feed (n, d) features of any floating dtype.

        Raises:
            StatisticsError: if a value is NaN or infinite, or a row that is to be of unit norm is zero.
        """
        self._require_count()
        check_same("feature width", self.width, values.shape[1])
        self._late.begin(values)
        self._late.finite(values, indices)
        rows = values.detach().to(torch.float64, copy=True)
        if self.unit_norm:
            self._late.nonzero(rows, indices)
            rows = unit_rows(rows, zeros="keep")
        self._add(rows)
        self._late.end(values)

    def settle(self) -> None:
        """Wait for a device that still works on what was fed."""
        self._late.settle()

    def merge(self, other: Moments) -> Moments:
        """The moments of both sample sets, on the CPU."""
        check_same("feature width", self.width, other.width)
        check_same("unit_norm", self.unit_norm, other.unit_norm)
        self._require_count()
        other._require_count()
        self.settle()
        other.settle()
        merged = Moments(self.width, unit_norm=self.unit_norm)
        if self._m2 is None and other._m2 is None:
            for rows in (*self._rows, *other._rows):
                merged._add(rows.to("cpu", copy=True))
            return merged
        merged._m2 = torch.zeros((self.width, self.width), dtype=torch.float64)
        merged._mean = torch.zeros(self.width, dtype=torch.float64)
        for part in (self, other):
            merged._fold_moments(part)
        return merged

    def state(self) -> dict[str, Tensor]:
        """``count`` (-1 if unknown), and either ``rows`` (n, d) or ``mean`` (d,) and ``m2`` (d, d).

        Of rows of unit norm also ``unit_norm``, 1; a state without it is of rows as they came.
        """
        self.settle()
        state = {"count": torch.tensor(self.num_samples if self.counted else -1)}
        if self.unit_norm:
            state["unit_norm"] = torch.tensor(1)
        if self._m2 is None or self._mean is None:
            return {**state, "rows": self._kept_rows().cpu()}
        # Copies: feeding goes on in place.
        return {**state, "mean": self._mean.cpu().clone(), "m2": self._m2.cpu().clone()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Moments:
        """The moments whose ``state()`` this is."""
        unit_norm = "unit_norm" in state and bool(state["unit_norm"])
        if "rows" in state:
            rows = state["rows"].to(torch.float64, copy=True)
            check_finite(rows, torch.arange(rows.shape[0]))
            moments = cls(int(rows.shape[1]), unit_norm=unit_norm)
            # These are of unit norm already; dividing once more would change their last digits.
            moments._add(rows)
            return moments
        if int(state["count"]) < 0:
            return cls.from_covariance(state["mean"], state["m2"], None)
        moments = cls(int(state["mean"].shape[0]), unit_norm=unit_norm)
        moments.num_samples = int(state["count"])
        moments._mean = state["mean"].clone()
        moments._m2 = state["m2"].clone()
        return moments

    @classmethod
    def from_covariance(
        cls, mean: Float64[Tensor, " d"], sigma: Float64[Tensor, "d d"], num_samples: int | None
    ) -> Moments:
        """Moments of which only mean and covariance are left.

        Args:
            mean: (d,) float64.
            sigma: (d, d) float64, the sample covariance with ddof 1.
            num_samples: how many samples they are of, at least 2; None if that is not known.
        """
        moments = cls(int(mean.shape[0]))
        moments.counted = num_samples is not None
        # Without a count the factor n - 1 is left out on both sides: any stands for it.
        moments.num_samples = 2 if num_samples is None else num_samples
        moments._mean = mean.clone()
        moments._m2 = sigma * (moments.num_samples - 1)
        return moments

    def mean(self) -> Float64[Tensor, " d"]:
        """The mean, (d,) float64.

        Raises:
            StatisticsError: of no samples.
        """
        self._require(1)
        if self._mean is not None:
            return self._mean.clone()
        return self._kept_rows().mean(dim=0)

    def covariance(self) -> Float64[Tensor, "d d"]:
        """The sample covariance with ddof 1, (d, d) float64.

        Raises:
            StatisticsError: of fewer than two samples.
        """
        self._require(2)
        if self._m2 is not None:
            return self._m2 / (self.num_samples - 1)
        factor = self.factor()
        return factor.T @ factor

    def second_moment(self) -> Float64[Tensor, "d d"]:
        """The uncentred second moment XᵀX/n of the rows X, (d, d) float64.

        Raises:
            StatisticsError: of no samples, or of an unknown number of them.
        """
        self._require_known("a second moment")
        self._require(1)
        if self._m2 is None or self._mean is None:
            rows = self._kept_rows()
            return (rows.T @ rows) / self.num_samples
        return torch.addr(self._m2 / self.num_samples, self._mean, self._mean)

    def smaller_second_moment(self) -> Float64[Tensor, "k k"]:
        """XXᵀ/n where the rows X are kept, else XᵀX/n; either has the same eigenvalues, but for zeros.

        Raises:
            StatisticsError: of no samples, or of an unknown number of them.
        """
        self.settle()
        if self._m2 is not None or self.num_samples == 0:
            return self.second_moment()
        rows = self._kept_rows()
        return (rows @ rows.T) / self.num_samples

    def total_variance(self) -> float:
        """The trace of the covariance."""
        self._require(2)
        if self._m2 is not None:
            return float(self._m2.trace()) / (self.num_samples - 1)
        return float(self.factor().square().sum())

    def factor(self) -> Float64[Tensor, "r d"]:
        """A factor F of the covariance, FᵀF, with as many rows as samples where these are at most d.

        It is computed once and kept, since a reference is compared with many generated sets.
        """
        self._require(2)
        if self._factor is None:
            if self._m2 is None:
                self._factor = centred_row_factor(self._kept_rows())
            else:
                self._factor = covariance_factor(self._m2 / (self.num_samples - 1))
        return self._factor

    def _add(self, rows: Float64[Tensor, "n d"]) -> None:
        """Take rows as they are, which are ours from here on."""
        if rows.shape[0] == 0:
            return
        self._factor = None
        if self._m2 is None and self.num_samples + rows.shape[0] <= self.width:
            self._rows.append(rows)
            self.num_samples += rows.shape[0]
            return
        self._fold_kept_rows()
        self._fold(rows)

    def _require_count(self) -> None:
        if not self.counted:
            raise StatisticsError(
                "a mean and covariance of an unknown number of images cannot be merged or added to; make the "
                "statistics again from the images, or say how many: `genmetrics stats convert IN OUT --num-samples N`"
            )

    def _require_known(self, figure: str) -> None:
        if not self.counted:
            raise StatisticsError(
                f"{figure} cannot be had from a mean and covariance of an unknown number of images; say how many: "
                "`genmetrics stats convert IN OUT --num-samples N`"
            )

    def _require(self, count: int) -> None:
        self.settle()
        if self.num_samples < count:
            raise StatisticsError(
                f"{self.num_samples} image(s): a mean and covariance need at least {count}; add images"
            )

    def _kept_rows(self) -> Tensor:
        if not self._rows:
            return torch.zeros((0, self.width), dtype=torch.float64)
        if len(self._rows) == 1:
            return self._rows[0]
        rows = torch.cat(self._rows)
        # On a device this is the reader's own: its memory is of the reader's stream, and updates are on another.
        if not is_late(rows):
            self._rows = [rows]
        return rows

    def _fold_kept_rows(self) -> None:
        if self._m2 is not None:
            return
        kept, self._rows = self._rows, []
        device = kept[0].device if kept else None
        self.num_samples = 0
        self._m2 = torch.zeros((self.width, self.width), dtype=torch.float64, device=device)
        self._mean = torch.zeros(self.width, dtype=torch.float64, device=device)
        # Block by block, and each let go at once: the centred copies would otherwise be as large as all rows. The
        # blocks are the same however the rows came, so that the sums are, too.
        kept.reverse()
        waiting: list[Tensor] = []
        while kept:
            rows = kept.pop()
            if rows.device.type == "cuda":  # they may have been made on another stream than reads them now
                rows.record_stream(torch.cuda.current_stream(rows.device))
            while rows.shape[0]:
                room = _BLOCK - sum(part.shape[0] for part in waiting)
                waiting.append(rows[:room])
                rows = rows[room:]
                if waiting[-1].shape[0] == room:
                    self._fold_together(waiting)
        if waiting:
            self._fold_together(waiting)

    def _fold_together(self, parts: list[Tensor]) -> None:
        """Fold rows as one block, and let go of them."""
        devices = {part.device for part in parts}
        if len(devices) > 1:  # some came from another device than others
            parts[:] = [part.to(parts[0].device) for part in parts]
        block = parts[0] if len(parts) == 1 else torch.cat(parts)
        parts.clear()
        self._fold(block)

    def _fold(self, rows: Tensor) -> None:
        """Fold a batch in, on the device that the moments are on."""
        assert self._m2 is not None and self._mean is not None
        if rows.device.type == "cuda" and self._m2.device.type == "cpu":  # of a state; the next batches are there, too
            self._m2, self._mean = self._m2.to(rows.device), self._mean.to(rows.device)
        self.num_samples = fold_rows(self._mean, self._m2, self.num_samples, rows.to(self._m2.device))

    def _fold_moments(self, part: Moments) -> None:
        if part.num_samples == 0:
            return
        if part._m2 is None:
            self._fold(part._kept_rows().cpu())
            return
        assert self._m2 is not None and self._mean is not None and part._mean is not None
        total = self.num_samples + part.num_samples
        shift = part._mean.cpu() - self._mean
        self._m2 += part._m2.cpu()
        self._m2.addr_(shift, shift, alpha=self.num_samples * part.num_samples / total)
        self._mean += shift * (part.num_samples / total)
        self.num_samples = total
