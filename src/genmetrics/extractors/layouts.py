"""One layout of weight files into another: tensors under other names, and three projections as one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["joined", "relabel"]


def relabel(state: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """The tensors whose names the rules know, under their new names; an empty new name drops one.

    Args:
        state: tensors by name.
        rules: pairs of a pattern, which must fit the whole name, and what it becomes; the first that fits counts. A
            name that no rule fits stays.
    """
    found = {}
    for name, value in state.items():
        new = name
        for pattern, replacement in rules:
            if match := re.fullmatch(pattern, name):
                new = match.expand(replacement)
                break
        if new:
            found[new] = value
    return found


def joined(state: Mapping[str, Tensor], separator: str) -> dict[str, Tensor]:
    """Query, key and value one under the other: ``<name>.q.weight`` and its like become ``<name><separator>weight``.

    Args:
        state: tensors by name.
        separator: between the name of what they are joined to and ``weight`` or ``bias``: ``.qkv.`` or ``.in_proj_``.
    """
    found = {}
    for name, value in state.items():
        match = re.fullmatch(r"(.*)\.([qkv])\.(weight|bias)", name)
        if match is None:
            found[name] = value
            continue
        start, part, kind = match.groups()
        parts = [state.get(f"{start}.{other}.{kind}") for other in "qkv"]
        if part == "q" and all(tensor is not None for tensor in parts):
            found[f"{start}{separator}{kind}"] = torch.cat([tensor for tensor in parts if tensor is not None])
    return found
