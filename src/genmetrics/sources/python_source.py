"""What a Python function makes: ``python:package.module:factory?num_samples=1000``, or ``python:file.py:factory?…``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from genmetrics.errors import GenmetricsError, SourceError, UsageError
from genmetrics.python_code import import_code, split_code_name
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource, SeededSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.query import (
    GENERATOR_OPTIONS,
    generator_options,
    guess_type,
    require_noise_options,
    split_query,
)
from genmetrics.sources.streams import IterableSource
from genmetrics.sources.torch_dataset import MapStyle
from genmetrics.types import Fingerprint, Shard

__all__ = ["PythonSource"]

#: What goes with images that are not generated from noise.
_FOR_IMAGES = ("value_range", "rounding")
#: What is read as a whole: a number of samples would have to choose among its images.
_WITH_A_SIZE = (ImageSource, MapStyle, DataLoader, str, Path)


class PythonSource(SeededSource):
    """What ``factory()`` returns: an ``nn.Module`` that generates, or anything that ``open_source`` takes.

    The module is imported as any other, so that it must be installed or on ``PYTHONPATH``; a file is run. Parameters
    behind the ``?`` that are options of a generator are taken as such; all others are given to the factory by name, as
    a number or ``true``/``false`` if they read so, else as text. An iterable is read up to ``num_samples`` if it is
    given.
    """

    kind = "python"

    def __init__(
        self, text: str, value_range: Sequence[int | float] | None = None, rounding: str | None = None
    ) -> None:
        """Import the module, call the factory and open what it returns.

        Args:
            text: ``package.module:factory?name=value&…``, or a file in place of the module.
            value_range: in place of the option of the same name.
            rounding: likewise.

        Raises:
            UsageError: if the text or an option cannot be meant.
            SourceError: if there is no such module or function, it fails, or it returns something else.
        """
        self.description = f"{self.kind}:{text}"
        what = f"'{self.description}'"
        target, parameters = split_query(text, what)
        module_name, name = split_code_name(target, what)
        ours = {key: value for key, value in parameters.items() if key in GENERATOR_OPTIONS}
        options = generator_options(ours, what, {"value_range": value_range, "rounding": rounding})
        rest = {key: guess_type(value) for key, value in parameters.items() if key not in GENERATOR_OPTIONS}
        made = _call(_find(module_name, name, what), rest, what)
        self._inner = _open_made(made, options, what)
        self.notes, self.class_names = self._inner.notes, self._inner.class_names

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def made(self) -> ImageSource:
        """What the function made, opened."""
        return self._inner

    @property
    def repeatable(self) -> bool:
        """As what the function made is."""
        return self._inner.repeatable

    def fingerprint(self) -> Fingerprint:
        """Without a digest: code cannot be known."""
        return Fingerprint(self.kind, self.description, None)

    def seeded(self, seed: int) -> ImageSource:
        """The same with this seed, if what the function made takes one and has none."""
        if not isinstance(self._inner, SeededSource):
            return self
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._inner = self._inner.seeded(seed)
        return other

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """Those of what the function made."""
        return self._noting(self._inner.batches(shard, spec))

    def _noting(self, batches: Iterator[ImageBatch]) -> Iterator[ImageBatch]:
        yield from batches
        self.notes = self._inner.notes


def _find(module_name: str, name: str, what: str) -> Any:
    module = import_code(module_name, what, SourceError)
    found = getattr(module, name, None)
    if not callable(found):
        state = "has no" if found is None else "has no function"
        raise SourceError(f"{what}: '{module_name}' {state} '{name}'; expected a function or class")
    return found


def _call(factory: Any, arguments: dict[str, Any], what: str) -> Any:
    try:
        return factory(**arguments)
    except GenmetricsError:
        raise
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise SourceError(
            f"{what}: calling it with ({given}) failed: {type(error).__name__}: {error}; its options for generators "
            f"are {', '.join(GENERATOR_OPTIONS)}, all other parameters go to the function"
        ) from error


def _open_made(made: Any, options: dict[str, Any], what: str) -> ImageSource:
    from genmetrics.sources.parse import open_source

    if isinstance(made, nn.Module):
        require_noise_options(options, f"{what} makes a generator", what.strip("'").partition("?")[0])
        return GeneratorSource(made, **options)
    for_images = {name: options[name] for name in _FOR_IMAGES if name in options}
    other = [name for name in options if name not in _FOR_IMAGES]
    if other == ["num_samples"] and isinstance(made, Iterable) and not isinstance(made, _WITH_A_SIZE):
        return IterableSource(made, num_samples=options["num_samples"], **for_images)
    if other:
        raise UsageError(
            f"{what} makes a {type(made).__name__}, and {', '.join(other)} are options of a generator (an nn.Module); "
            "leave them out"
        )
    try:
        return open_source(made, **for_images)
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
