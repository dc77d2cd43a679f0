"""Numbers as a person reads them: four digits, a true minus sign, thousands apart."""

from __future__ import annotations

import math

__all__ = ["compact", "counted", "figure", "interval", "percent", "plain", "signed", "sure"]

_MINUS = "−"
_DIGITS = 4
#: Beyond these a figure has an exponent.
_MOST_DECIMALS, _LARGEST = 7, 1e7


def figure(value: float, digits: int = _DIGITS) -> str:
    """A figure with so many significant digits, such as 12.34, 0.0123, 1,235 or 1.2e−07.

    Zeros at the end stay, so that a column of figures has one precision.
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if exponent < -4 or abs(value) >= _LARGEST:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", _MINUS)
    return f"{value:,.{max(0, digits - 1 - exponent)}f}".replace("-", _MINUS)


def signed(value: float, digits: int = _DIGITS) -> str:
    """The same with a plus in front of what is above zero."""
    return f"+{figure(value, digits)}" if value > 0 else figure(value, digits)


def sure(value: float, width: float | None) -> str:
    """A figure with the digits that its 95 % interval leaves it: two of a quarter of the interval's width.

    Args:
        value: the figure.
        width: of the interval; None if it is not known, which gives four digits.
    """
    if not width or width <= 0:
        return figure(value)
    decimals = 1 - math.floor(math.log10(width / 4))
    if decimals > _MOST_DECIMALS or abs(value) >= _LARGEST or width >= _LARGEST:
        return figure(value)
    return f"{value:,.{max(0, decimals)}f}".replace("-", _MINUS)


def interval(low: float, high: float) -> str:
    """Two ends, with digits as ``sure`` gives them."""
    return f"{sure(low, high - low)} to {sure(high, high - low)}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things: ``1 image``, ``50,000 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plain(value: float, digits: int = _DIGITS) -> str:
    """A whole number with all its digits, any other as ``figure`` gives it."""
    return (
        f"{value:,.0f}".replace("-", _MINUS) if value.is_integer() and abs(value) < _LARGEST else figure(value, digits)
    )


def percent(part: float) -> str:
    """A part of one in percent: below ten with a digit behind the point."""
    value = 100 * part
    return f"{value:.0f} %" if abs(value) >= 10 or value == round(value) else f"{value:.1f} %"


def compact(number: float) -> str:
    """A number that has to be short, on an axis: 500, 2k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}".replace("-", _MINUS)
    return f"{number:.3g}".replace("-", _MINUS)
