"""``vq.runners.metrics``: FID inside a validation loop."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.compat.vq.cache import find_statistics, load_statistics
from genmetrics.compat.vq.pixels import decode
from genmetrics.compat.vq.protocol import METRIC, device_of, weights_here
from genmetrics.engine.evaluator import Evaluator
from genmetrics.errors import UsageError

__all__ = ["FIDMetric"]

#: Steps such as ``['pred']`` or ``.pred``; the first may be bare.
_STEP = re.compile(r"""\.?([A-Za-z_]\w*)|\[(['"])(.*?)\2\]""")


class FIDMetric:
    """FID of the images that a validation loop makes, against statistics of ``pretrained/fid/``.

    It is fed batch by batch, on every rank with that rank's own images; ``summary`` gives all ranks the one number.

    ::

        metric = FIDMetric(pred="pred_image", reference="imagenet_val")
        for batch in loader:
            memo = metric(batch, {"pred_image": model(batch["image"])})     # floats of -1..1
        print(metric.summary(memo))

    Matches: todd's, transcribed on pytorch-fid 0.3.0's network; tests/compat/vq/test_metric.py.
    """

    def __init__(
        self,
        *,
        pred: str | None = None,
        eps: float = 1e-6,
        reference: str | Path = "imagenet_val",
        device: str | None = None,
        weights: str | Path | None = None,
        num_samples: int | None = None,
    ) -> None:
        """Load the network and the statistics.

        Args:
            pred: where in the memo the images are: a key, or steps such as ``['out']['image']``; None where ``update``
                alone is called.
            eps: what the original adds to diagonals where a product is singular; there is no product here, and it
                does nothing.
            reference: a name in ``pretrained/fid/``, or the path of a statistics file. The original asks its runner's
                dataset for it.
            device: ``cuda``, ``cuda:N``, ``cpu`` or ``mps``; None takes a GPU where there is one.
            weights: the network's weight file; None as ``Inception``.
            num_samples: the length of the dataset that a ``DistributedSampler`` shares out; ``update`` is then given
                the indices, and what the sampler repeats to even out the ranks is left out.

        Raises:
            SourceError: if there are no such statistics; the message lists those that there are.
            GenmetricsError: if they or the weights cannot be used.
        """
        if not eps >= 0:
            raise UsageError(f"eps {eps!r}: expected 0 or more")
        self._steps = () if pred is None else _steps(pred)
        self._evaluator = Evaluator(
            load_statistics(find_statistics(reference), cropped=False),
            [METRIC],
            weights=weights_here() if weights is None else Path(weights),
            device=device_of(device),
            num_samples=num_samples,
        )

    def __call__(self, batch: Mapping[str, Any], memo: Mapping[str, Any]) -> Mapping[str, Any]:
        """As ``forward``."""
        return self.forward(batch, memo)

    def forward(self, batch: Mapping[str, Any], memo: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the images of a batch in, and give the memo back.

        Args:
            batch: not looked at.
            memo: holds at ``pred`` the images, (n, 3, h, w): floats of -1..1, which become 8 bits as vq's ``decode``
                makes them, or uint8 of 0..255.

        Raises:
            UsageError: if there are no such images.
        """
        if not self._steps:
            raise UsageError("the metric was made without pred=, which says where in the memo the images are")
        found: Any = memo
        for step in self._steps:
            if not isinstance(found, Mapping) or step not in found:
                held = ", ".join(repr(key) for key in found) if isinstance(found, Mapping) else type(found).__name__
                raise UsageError(f"pred {''.join(f'[{one!r}]' for one in self._steps)}: no {step!r} in {held}")
            found = found[step]
        if not isinstance(found, Tensor):
            raise UsageError(f"pred {self._steps[-1]!r} is a {type(found).__name__}, expected a tensor of images")
        if found.is_floating_point():
            found = decode(found)
        elif found.dtype != torch.uint8:
            raise UsageError(
                f"pred {self._steps[-1]!r} holds {found.dtype}, expected floats of -1..1 or uint8 of 0..255"
            )
        self.update(found)
        return memo

    def update(
        self, images: UInt8[Tensor, "n 3 h w"], indices: Int64[Tensor, " n"] | Sequence[int] | None = None
    ) -> None:
        """Take images in.

        Args:
            images: (n, 3, h, w) uint8, 0..255.
            indices: the numbers of the images in the dataset, unique over all calls and ranks; needed with
                ``num_samples``.

        Raises:
            UsageError: if the images are not such, or one was counted before.
        """
        self._evaluator.update(images, indices)

    def compute(self) -> float:
        """FID of all images that all ranks took in; every rank calls it.

        Raises:
            StatisticsError: if there are fewer than two images.
        """
        (result,) = self._evaluator.compute().metrics.values()
        return result.value

    def summary(self, memo: Mapping[str, Any] | None = None) -> float:
        """As ``compute``, under the original's name.

        Args:
            memo: not looked at.
        """
        return self.compute()

    def reset(self) -> None:
        """Forget all images, for the next validation."""
        self._evaluator.reset()


def _steps(text: str) -> tuple[str, ...]:
    """The keys of ``pred``, ``.pred``, ``['a']['b']``; it is taken apart and not run, as the original does."""
    steps: list[str] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise UsageError(f"pred {text!r}: expected a key of the memo such as 'pred_image', or \"['out']['image']\"")
        steps.append(match[1] or match[3])
        position = match.end()
    if not steps:
        raise UsageError("pred is an empty text, expected a key of the memo such as 'pred_image'")
    return tuple(steps)
