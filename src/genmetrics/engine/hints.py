"""What to type instead, where only the engine knows what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from genmetrics.engine.options import Options
from genmetrics.engine.plan import make_plan
from genmetrics.errors import GenmetricsError, MissingWeightsError
from genmetrics.types import MetricsLike

__all__ = ["naming_another_network"]

#: The network whose weights come with the installation.
_INSTALLED = "efficientnet-lite0.in1k"


@contextmanager
def naming_another_network(metrics: MetricsLike | None, extractor: str | None, has_reference: bool) -> Iterator[None]:
    """Where weights are missing, name the network that is there, if all the metrics can be computed on it.

    Args:
        metrics: as they were asked for.
        extractor: likewise.
        has_reference: whether there is a set to compare with.
    """
    try:
        yield
    except MissingWeightsError as error:
        if extractor == _INSTALLED or not _can_be_on_it(metrics, has_reference):
            raise
        raise MissingWeightsError(
            f"{error}\n  or another network:   --extractor {_INSTALLED}  (installed already; its numbers carry its "
            "name and do not compare with published ones)"
        ) from error


def _can_be_on_it(metrics: MetricsLike | None, has_reference: bool) -> bool:
    try:
        make_plan(metrics, _INSTALLED, Options.seed, has_reference)
    except GenmetricsError:
        return False
    return True
