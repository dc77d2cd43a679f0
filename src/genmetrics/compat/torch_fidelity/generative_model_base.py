"""What a generator is for torch-fidelity; classes that were written for it derive from this one unchanged."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

__all__ = ["GenerativeModelBase"]


class GenerativeModelBase(ABC, nn.Module):
    """Noise in, and labels if it is conditional; uint8 images (n, 3, h, w) out."""

    @property
    @abstractmethod
    def z_size(self) -> int:
        """The size of the noise of one sample."""

    @property
    @abstractmethod
    def z_type(self) -> str:
        """The name of a registered noise source, such as ``normal``."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """How many classes labels are drawn from; 0 if it takes none."""
