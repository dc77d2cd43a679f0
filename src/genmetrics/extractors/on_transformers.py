"""What the extractors share whose network and tokens are those of the transformers library.

The library is imported where a network is built, and its modules get the tensors of a pinned file: nothing of it
reaches the hub, and no code comes from there.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from genmetrics.errors import DependencyError
from genmetrics.extractors.published import PublishedExtractor
from genmetrics.extractors.weights import WeightsFile

__all__ = ["TransformersExtractor", "without_transformers"]


def without_transformers(what: str, reason: ImportError | str) -> DependencyError:
    """The error that the library is missing, or cannot be imported.

    Args:
        what: needs it.
        reason: why it is not there.
    """
    return DependencyError(
        f"{what} needs the package transformers ({reason}); install it with \"pip install 'genmetrics[hf]'\""
    )


class TransformersExtractor(PublishedExtractor):
    """An extractor whose network is a module of the transformers library with a published weight file."""

    packages = ("transformers",)

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        """The weight file, which is not fetched in vain.

        Raises:
            DependencyError: if the library is not installed.
        """
        if importlib.util.find_spec("transformers") is None:
            raise without_transformers(f"extractor {cls.name!r}", "it is not installed")
        return super().locate(weights)
