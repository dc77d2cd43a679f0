"""One layout of weight files into another: tensors under other names, and one that holds several as these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

__all__ = ["relabel"]


def relabel(state: Mapping[str, Tensor], rules: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Tensor]:
    """The tensors under the names that the rules give them.

    Args:
        state: tensors by name.
        rules: pairs of a pattern, which must fit the whole name, and what it becomes; the first that fits counts. No
            name drops the tensor, and several take equal parts of it, cut along its first dimension. A tensor whose
            name no rule fits stays.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        names = _new_names(name, rules)
        parts = value.chunk(len(names)) if len(names) > 1 else (value,)
        found |= dict(zip(names, parts, strict=False))
    return found


def _new_names(name: str, rules: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    for pattern, replacements in rules:
        if match := re.fullmatch(pattern, name):
            return [match.expand(replacement) for replacement in replacements]
    return [name]
