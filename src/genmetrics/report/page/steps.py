"""Whether several results are checkpoints of one run, told by their names, and which step each is of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genmetrics.report.saved import SavedResult

__all__ = ["Layout", "Steps", "guess_steps", "numbered_steps"]

#: What several results are. ``auto`` takes those whose names differ in a number that counts steps for checkpoints, and
#: others for models.
Layout = Literal["auto", "models", "checkpoints"]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"([A-Za-z]+)[^A-Za-z0-9]*$")
#: Words before a number that count steps of a training.
_STEP = frozenset(
    (
        *("step", "steps", "iter", "iters", "iteration", "iterations", "epoch", "epochs"),
        *("ckpt", "checkpoint", "checkpoints", "kimg", "img"),
    )
)
#: Words before a number that tell models or runs apart.
_OTHER = frozenset(["seed", "run", "fold", "model", "version", "v", "exp", "experiment", "config", "trial"])
#: So many numbered results are taken for steps, whatever the word before the number.
_ENOUGH = 3


@dataclass(frozen=True)
class Steps:
    """The steps of several results of one run.

    Attributes:
        of: the step of each result, in the results' order.
        unit: what is counted.
        texts: the steps as the names write them.
    """

    of: tuple[float, ...]
    unit: str
    texts: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """The results' places by ascending step."""
        return sorted(range(len(self.of)), key=self.of.__getitem__)


def guess_steps(results: Sequence[SavedResult], names: Sequence[str] | None, *, sure: bool = False) -> Steps | None:
    """The steps, if the names that were given, of the files or of the generated sets differ in one number alone.

    Args:
        results: the results.
        names: what a person calls them; None if they were not named.
        sure: they are checkpoints, so that the word before the number does not matter.

    Returns:
        None if they look like several models, or nothing numbers them.
    """
    if len(results) < 2:
        return None
    files = [str(result.path) for result in results if result.path is not None]
    candidates = [list(names)] if names is not None else []
    candidates += [files] if len(files) == len(results) else []
    candidates += [[result.gen.source for result in results]]
    for texts in candidates:
        found = _numbered(texts)
        if found is not None and (sure or _counts(found.unit, len(results))):
            return Steps(found.of, found.unit if found.unit in _STEP else "step", found.texts)
    return None


def numbered_steps(count: int) -> Steps:
    """The order in which results were given, where nothing else numbers them."""
    return Steps(
        tuple(map(float, range(1, count + 1))), "checkpoint", tuple(str(place) for place in range(1, count + 1))
    )


def _counts(word: str, results: int) -> bool:
    return word in _STEP or (word not in _OTHER and results >= _ENOUGH)


def _numbered(texts: Sequence[str]) -> Steps | None:
    """The numbers in which texts differ, with the word before them, if they differ in nothing else."""
    around = {tuple(_NUMBER.split(text)) for text in texts}
    if len(around) != 1:
        return None
    numbers = [_NUMBER.findall(text) for text in texts]
    columns = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    # A number may stand in a name twice, as in run/step-2000/samples-2000.
    if len(set(columns)) != 1:
        return None
    values = tuple(float(text) for text in columns[0])
    if len(set(values)) != len(texts) or not all(map(math.isfinite, values)):
        return None
    place = next(at for at, column in enumerate(zip(*numbers, strict=True)) if column == columns[0])
    word = _WORD.search(next(iter(around))[place])
    return Steps(values, word.group(1).lower() if word else "step", columns[0])
