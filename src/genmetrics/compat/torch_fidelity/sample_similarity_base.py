"""What a similarity of two images is for torch-fidelity; classes that were written for it derive from this one."""

from __future__ import annotations

from typing import Any

from torch import nn

from genmetrics.errors import UsageError

__all__ = ["SampleSimilarityBase"]


class SampleSimilarityBase(nn.Module):
    """Two batches of images in, one number for each pair out; the Perceptual Path Length is made of them."""

    def __init__(self, name: str) -> None:
        """Keep the name.

        Args:
            name: under which the class is registered.

        Raises:
            UsageError: if it is no text.
        """
        super().__init__()
        if not isinstance(name, str):
            raise UsageError(f"a sample similarity's name is {name!r}; expected a text")
        self.name = name

    def get_name(self) -> str:
        """The name that it was made with."""
        return self.name

    def forward(self, *args: Any) -> Any:
        """The number of each pair, (n,)."""
        raise NotImplementedError
