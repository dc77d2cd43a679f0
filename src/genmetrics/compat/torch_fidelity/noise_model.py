"""A generator that is told what noise it takes."""

from __future__ import annotations

from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.noise_options import NoiseOptions

__all__ = ["NoiseModel"]


class NoiseModel(GenerativeModelBase):
    """A generator whose noise is given when it is made; subclasses say how images come of it."""

    def __init__(self, z_size: int, z_type: str, num_classes: int) -> None:
        """Keep what it must be given.

        Args:
            z_size: the size of the noise of one sample.
            z_type: the name of a registered noise source.
            num_classes: how many classes labels are drawn from; 0 if it takes none.

        Raises:
            UsageError: if a number or name cannot be meant.
        """
        super().__init__()
        self._noise = NoiseOptions(z_size, z_type, num_classes)

    @property
    def z_size(self) -> int:
        """The size of the noise of one sample."""
        return self._noise.z_size

    @property
    def z_type(self) -> str:
        """The name of a registered noise source."""
        return self._noise.z_type

    @property
    def num_classes(self) -> int:
        """How many classes labels are drawn from; 0 if it takes none."""
        return self._noise.num_classes
