"""What a generator must be given, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from genmetrics.compat.torch_fidelity.noise import random_normal, random_uniform_0_1, random_unit
from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.registry import did_you_mean

__all__ = ["NOISE_SOURCE_REGISTRY", "NoiseOptions", "NoiseSource", "noise_source"]

NoiseSource = Callable[[np.random.RandomState, tuple[int, ...]], Tensor]

#: By name; ``registry.register_noise_source`` adds to it.
NOISE_SOURCE_REGISTRY: dict[str, NoiseSource] = {
    "normal": random_normal,
    "unit": random_unit,
    "uniform_0_1": random_uniform_0_1,
}


def noise_source(name: str) -> NoiseSource:
    """The registered noise source of that name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in NOISE_SOURCE_REGISTRY:
        raise UnknownNameError(
            f"noise source {name!r} is not registered; {did_you_mean(name, list(NOISE_SOURCE_REGISTRY))} "
            "(register_noise_source adds yours)"
        )
    return NOISE_SOURCE_REGISTRY[name]


@dataclass(frozen=True)
class NoiseOptions:
    """What a generator must be given.

    Attributes:
        z_size: the size of the noise of one sample.
        z_type: the name of a registered noise source.
        num_classes: how many classes labels are drawn from; 0 if it takes none.
    """

    z_size: int
    z_type: str
    num_classes: int

    def __post_init__(self) -> None:
        if not _is_whole(self.z_size, 1):
            raise UsageError(f"z_size is {self.z_size!r}; expected the size of the noise of one sample, such as 128")
        if not _is_whole(self.num_classes, 0):
            raise UsageError(f"num_classes is {self.num_classes!r}; expected 0 (no labels) or more")
        noise_source(self.z_type)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
