"""The parameters behind a ``?``: ``torchscript:G.pt?z_size=128&num_samples=50000``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from genmetrics.errors import UsageError
from genmetrics.registry import did_you_mean

__all__ = ["GENERATOR_OPTIONS", "generator_options", "guess_type", "require_noise_options", "split_query"]


@dataclass(frozen=True)
class _Option:
    """How the text of an option is read: ``kind`` decides, ``expected`` is for messages."""

    kind: str
    expected: str


#: The options of ``GeneratorSource`` that can be written behind a ``?``.
GENERATOR_OPTIONS: dict[str, _Option] = {
    "z_size": _Option("shape", "a number such as 128, or a shape such as 4x64x64"),
    "num_samples": _Option("number", "a whole number"),
    "z_type": _Option("text", "normal, unit or uniform"),
    "num_classes": _Option("number", "a whole number"),
    "labels": _Option("text", "uniform or balanced"),
    "draw": _Option("text", "per-sample or torch-fidelity"),
    "seed": _Option("number", "a whole number"),
    "batch_size": _Option("number", "a whole number"),
    "device": _Option("text", "a device such as cpu or cuda:0"),
    "value_range": _Option("range", "0,1 or -1,1 or 0,255"),
    "rounding": _Option("text", "round or truncate"),
    "probe": _Option("switch", "true or false"),
}
_RANGES = {"0,1": (0, 1), "-1,1": (-1, 1), "0,255": (0, 255)}
_SWITCHES = {"true": True, "false": False}


def split_query(text: str, what: str) -> tuple[str, dict[str, str]]:
    """What stands before the last ``?``, and the parameters behind it; ``%26`` stands for an ``&`` in a value.

    Args:
        text: the whole.
        what: the source in messages.

    Raises:
        UsageError: if a parameter has no name or value, or stands there twice.
    """
    if "?" not in text:
        return text, {}
    base, _, query = text.rpartition("?")
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not name or not equals or not value:
            raise UsageError(f"{what}: {part!r} behind '?' is no parameter, expected name=value, joined by '&'")
        if name in found:
            raise UsageError(f"{what}: {name!r} is given twice ({found[name]!r} and {unquote(value)!r}); give it once")
        found[name] = unquote(value)
    return base, found


def generator_options(
    parameters: Mapping[str, str], what: str, given: Mapping[str, object] = MappingProxyType({})
) -> dict[str, Any]:
    """The values of a generator's options.

    Args:
        parameters: names and texts.
        what: the source in messages.
        given: options that were given as arguments; None where one was not.

    Raises:
        UsageError: if a name is unknown, a text cannot be read, or an option is given in both ways.
    """
    options: dict[str, Any] = {}
    for name, text in parameters.items():
        option = GENERATOR_OPTIONS.get(name)
        if option is None:
            raise UsageError(f"{what}: unknown parameter {name!r}; {did_you_mean(name, list(GENERATOR_OPTIONS))}")
        try:
            options[name] = _read(option.kind, text)
        except (ValueError, KeyError):
            raise UsageError(f"{what}: {name} is {text!r}, expected {option.expected}") from None
    for name, value in given.items():
        if value is None:
            continue
        if name in options:
            raise UsageError(f"{what}: {name} is given behind '?' and as an argument; give it once")
        options[name] = value
    return options


def require_noise_options(options: Mapping[str, object], problem: str, example: str) -> None:
    """Check that what every generator needs is among its options.

    Args:
        options: those that were given.
        problem: the beginning of the message.
        example: what to type, without parameters.

    Raises:
        UsageError: naming what is missing.
    """
    missing = [name for name in ("z_size", "num_samples") if name not in options]
    if missing:
        raise UsageError(
            f"{problem}: {' and '.join(missing)} must be given, such as '{example}?z_size=128&num_samples=50000'"
        )


def guess_type(text: str) -> int | float | bool | str:
    """A whole number, a decimal number or ``true``/``false`` if the text reads so, else the text itself."""
    if text in _SWITCHES:
        return _SWITCHES[text]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _read(kind: str, text: str) -> Any:
    if kind == "number":
        return int(text)
    if kind == "shape":
        sizes = tuple(int(part) for part in text.split("x"))
        return sizes[0] if len(sizes) == 1 else sizes
    if kind == "range":
        return _RANGES[text.replace(" ", "")]
    if kind == "switch":
        return _SWITCHES[text]
    return text
