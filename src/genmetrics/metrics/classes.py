"""Which samples are of which class, and what the classes are called."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.labels import Labels
from genmetrics.errors import StatisticsError

__all__ = ["KeyOfClass", "classes_of_rows", "name_of_class", "rows_by_class"]

#: From the number of a class in its set to what it is called or matched by.
KeyOfClass = Callable[[int], str | int]


def classes_of_rows(labels: Labels, bank: FeatureBank, what: str) -> Int64[Tensor, " n"]:
    """The number of the class of each row of a bank.

    Args:
        labels: the classes of the set's images.
        bank: their features.
        what: which set it is, ``generated`` or ``reference``, for the message.

    Raises:
        StatisticsError: if the classes are of other images.
    """
    state = labels.state()
    if not torch.equal(state["indices"], bank.indices()):
        raise StatisticsError(
            f"the {what} set's classes are of other images ({len(state['indices'])}) than its features "
            f"({bank.num_samples}); make the statistics again in one go, labels and features together"
        )
    return state["values"]


def name_of_class(names: tuple[str, ...], number: int) -> str:
    """What a class is called in a set that has names."""
    return names[number] if number < len(names) else str(number)


def rows_by_class(labels: Int64[Tensor, " n"], key_of: KeyOfClass) -> dict[str | int, Tensor]:
    """The rows of each class, in the order of the classes' numbers."""
    found: dict[str | int, Tensor] = {}
    for number in torch.unique(labels).tolist():
        name, rows = key_of(number), (labels == number).nonzero().flatten()
        # Two numbers of one name are one class.
        found[name] = torch.cat((found[name], rows)) if name in found else rows
    return found
