"""Every error that genmetrics raises on purpose.

The tree::

    GenmetricsError
    ├── UsageError (ValueError)          an option, name or combination that cannot be meant
    │   └── UnknownNameError             no metric, extractor, source … of that name
    ├── SourceError (ValueError)         a source that is missing, empty, damaged or of the wrong kind
    │   └── BadImageError                single images that cannot be read, each with its name
    ├── StatisticsError (ValueError)     statistics from which the asked number cannot be computed
    ├── WeightsError                     a weight file that is damaged, unlike the expected or refused
    │   └── MissingWeightsError          no weight file, and none could be fetched
    ├── DeviceError                      a device that this machine does not have
    ├── OutputError                      a result path that cannot be written
    ├── DistributedError                 processes that share a run, of which one is gone or failed
    └── DependencyError (ImportError)    an optional package that the asked feature needs

Each message says what was given, what was expected and what to type instead. The command line prints the
message alone and exits with 2; anything that is not a ``GenmetricsError`` is a defect and exits with 1.

``GenmetricsWarning`` (UserWarning) is what Python code is warned with; the command line prints what a report says.
``CacheWarning``, derived from it, is of what is kept of earlier runs and stands in no report; it is printed as well.
"""

from __future__ import annotations

__all__ = [
    "BadImageError",
    "CacheWarning",
    "DependencyError",
    "DeviceError",
    "DistributedError",
    "GenmetricsError",
    "GenmetricsWarning",
    "MissingWeightsError",
    "OutputError",
    "SourceError",
    "StatisticsError",
    "UnknownNameError",
    "UsageError",
    "WeightsError",
]


class GenmetricsError(Exception):
    """The base of all errors that genmetrics raises on purpose."""


class GenmetricsWarning(UserWarning):
    """What somebody who reads only the number should not miss."""


class CacheWarning(GenmetricsWarning):
    """Statistics that could not be kept, or that were kept and are damaged; no number is touched by it."""


class UsageError(GenmetricsError, ValueError):
    """An option, name or combination of them that cannot be meant."""


class UnknownNameError(UsageError):
    """A metric, extractor, source or other registered thing that does not exist."""


class SourceError(GenmetricsError, ValueError):
    """A source that is missing, empty, damaged or of the wrong kind."""


class BadImageError(SourceError):
    """Images that cannot be read.

    Attributes:
        images: ``(name, reason)`` of each image found so far, at most ten.
    """

    def __init__(self, message: str, images: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.images = images


class StatisticsError(GenmetricsError, ValueError):
    """Statistics from which the asked number cannot be computed."""


class WeightsError(GenmetricsError):
    """A weight file that is damaged, unlike the expected one, or refused."""


class MissingWeightsError(WeightsError):
    """No weight file was found, and none could be fetched."""


class DeviceError(GenmetricsError):
    """A device that was asked for and that this machine does not have."""


class OutputError(GenmetricsError):
    """A result path that cannot be written."""


class DistributedError(GenmetricsError):
    """Of the processes that share a run one is gone, or failed with an error that is not of this tree."""


class DependencyError(GenmetricsError, ImportError):
    """An optional package that the asked feature needs and that is not installed."""
