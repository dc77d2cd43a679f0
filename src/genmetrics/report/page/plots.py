"""The plots of a page: what each draws, and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from genmetrics.report.diagnostics import Cloud, Curve, Projection, Spectra
from genmetrics.report.page.numbers import compact, figure, interval, percent
from genmetrics.report.page.svg import GEN, INK, MUTED, PAGE, REF, Drawing, draw

__all__ = ["draw_curve", "draw_projection", "draw_spectra", "draw_steps"]

#: Points of one set that are drawn; more say nothing and fill the page.
_MOST_POINTS = 800
#: The dots of a set are drawn in so many layers, so that where many lie they are darker.
_LAYERS = 8
#: Squared radius, in standard deviations, of the ellipse that holds 95 % of a Gaussian.
_RADIUS2 = 5.991
_BAND = 0.18
#: Numbers beyond this are no features of images, and an axis of them cannot be drawn.
_LARGEST = 1e30


def draw_curve(curve: Curve, metric: str, name: str) -> Drawing | None:
    """The distance against the number of images, with its extrapolation; None if it cannot be drawn."""
    ends = [end for end in (curve.limit, curve.slope, curve.limit_low, curve.limit_high) if end is not None]
    if not curve.sizes or min(curve.sizes) < 1 or not _drawable(curve.sizes, curve.values, curve.low, curve.high, ends):
        return None
    sizes, values = np.array(curve.sizes, float), np.array(curve.values)
    falls = curve.slope is None or curve.slope >= 0
    reach = (sizes[0] * 0.8, sizes[-1] * (4 if curve.limit is not None else 1.25))

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xlim(*reach)
        if curve.limit is not None:
            if curve.limit_low is not None and curve.limit_high is not None:
                axes.axhspan(curve.limit_low, curve.limit_high, color=MUTED, alpha=_BAND, linewidth=0)
            axes.axhline(curve.limit, color=MUTED, linewidth=1.2, linestyle=(0, (1.5, 2)))
            if curve.slope is not None:
                along = np.geomspace(*reach, 60)
                axes.plot(along, curve.limit + curve.slope / along, color=GEN, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"limit {figure(curve.limit)}",
                (1, curve.limit),
                xycoords=("axes fraction", "data"),
                xytext=(-2, -7 if falls else 7),
                textcoords="offset points",
                ha="right",
                va="top" if falls else "bottom",
                color=INK,
                fontsize=12,
            )
        below_above = np.stack([values - np.array(curve.low), np.array(curve.high) - values]).clip(0)
        axes.errorbar(
            sizes, values, below_above, color=GEN, linewidth=0, elinewidth=1.4, capsize=3, marker="o", markersize=5
        )
        # Room for the words at the limit, on the side where the fit is not.
        axes.margins(y=0.14)
        axes.set_xlabel("generated images")
        axes.set_ylabel("distance")
        _log_ticks(axes, reach)
        _few_ticks(axes)

    return draw(paint, f"{metric} against the number of generated images", _curve_in_words(curve, metric), name)


def _curve_in_words(curve: Curve, metric: str) -> str:
    first, last = curve.sizes[0], curve.sizes[-1]
    if first == last:
        words = f"With {last:,} generated images {metric} is {figure(curve.values[-1])}."
    else:
        way = "falls" if curve.values[-1] < curve.values[0] else "rises"
        words = (
            f"{metric} {way} from {figure(curve.values[0])} with {first:,} generated images to "
            f"{figure(curve.values[-1])} with {last:,}."
        )
    if curve.limit is None:
        return f"{words} These are too few to tell what infinitely many would have."
    words += f" Infinitely many would have about {figure(curve.limit)}"
    if curve.limit_low is not None and curve.limit_high is not None:
        words += f" (95 % interval {interval(curve.limit_low, curve.limit_high)})"
    return f"{words}. The reference stays as it is."


def draw_spectra(spectra: Spectra, name: str) -> Drawing | None:
    """The eigenvalues of both covariances against their rank; None if they cannot be drawn, or none is above zero."""
    if not _drawable(spectra.ranks, spectra.gen, spectra.ref):
        return None
    ranks = np.array(spectra.ranks, float)
    sides = {side: np.array(values) for side, values in (("gen", spectra.gen), ("ref", spectra.ref))}
    shown = {side: (values > 0) & (ranks > 0) for side, values in sides.items()}
    if not any(mask.any() for mask in shown.values()):
        return None
    top = max(float(sides[side][mask].max()) for side, mask in shown.items() if mask.any())
    reach = (0.9, max(2.0, float(ranks.max()) * 1.15))

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for side, colour, style in (("ref", REF, (0, (4, 2))), ("gen", GEN, "solid")):
            mask = shown[side]
            axes.plot(ranks[mask], sides[side][mask], color=colour, linewidth=1.8, linestyle=style)
        least = min(float(sides[side][mask].min()) for side, mask in shown.items() if mask.any())
        # Rounding leaves eigenvalues near 1e-15 of the largest, which are zeros.
        axes.set_ylim(max(least, top * 1e-7) * 0.7, top * 1.6)
        axes.set_xlim(*reach)
        axes.set_xlabel("rank")
        axes.set_ylabel("eigenvalue")
        _log_ticks(axes, reach)
        axes.yaxis.set_minor_locator(NullLocator())

    return draw(paint, "Spectra of the two covariances", _spectra_in_words(spectra), name)


def _spectra_in_words(spectra: Spectra) -> str:
    ratios = [
        (rank, gen / ref)
        for rank, gen, ref in zip(spectra.ranks, spectra.gen, spectra.ref, strict=True)
        if gen > 0 and ref > 0
    ]
    if not ratios:
        return "No eigenvalue is above zero in both sets."
    (first, at_first), (middle, at_middle), (last, at_last) = ratios[0], ratios[len(ratios) // 2], ratios[-1]
    words = f"The eigenvalue of rank {first:,} of the generated set is {figure(at_first, 3)} times the reference's"
    if last > middle > first:
        words += (
            f", that of rank {middle:,} {figure(at_middle, 3)} times, that of rank {last:,} {figure(at_last, 3)} times"
        )
    if at_middle < 0.9 and at_last < 0.9:
        meaning = "Ratios below 1 towards high ranks say that the generated images vary less in the fine directions."
    elif at_middle > 1.1 and at_last > 1.1:
        meaning = "Ratios above 1 towards high ranks say that the generated images vary more there, as noise does."
    else:
        meaning = "Near 1 both sets vary as much along their axes."
    return f"{words}. {meaning}"


def draw_projection(projection: Projection, name: str) -> Drawing | None:
    """Both sets along the reference's two leading axes, with means and ellipses; None if it cannot be drawn."""
    for cloud in (projection.gen, projection.ref):
        if not _drawable(cloud.centre, cloud.covariance, *cloud.points):
            return None
    clouds = ((projection.ref, REF, "s"), (projection.gen, GEN, "o"))

    def paint(axes: Axes) -> None:
        for cloud, colour, _ in clouds:
            _dots(axes, cloud, colour)
        for cloud, colour, marker in clouds:
            axes.add_patch(_ellipse(cloud, colour, "--" if colour is REF else "-"))
            axes.plot(*cloud.centre, marker, color=colour, markersize=8, markeredgecolor=PAGE, markeredgewidth=1.5)
        axes.autoscale_view()
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(f"first axis ({percent(projection.explained[0])} of the variance)")
        axes.set_ylabel(f"second ({percent(projection.explained[1])})")
        _few_ticks(axes)
        axes.xaxis.set_major_locator(MaxNLocator(6))

    words = _projection_in_words(projection)
    return draw(paint, "Both sets along the reference's two leading axes", words, name, height=340)


def _projection_in_words(projection: Projection) -> str:
    words = []
    places = ("first", "second")
    spreads = [
        (math.sqrt(max(cloud.covariance[0], 0)), math.sqrt(max(cloud.covariance[2], 0)))
        for cloud in (projection.gen, projection.ref)
    ]
    for axis, place in enumerate(places):
        unit = spreads[1][axis]
        if unit <= 0:
            continue
        off = abs(projection.gen.centre[axis] - projection.ref.centre[axis]) / unit
        words.append(
            f"along the {place} axis the generated mean lies {figure(off, 2)} standard deviations of the reference "
            f"from its mean, and the generated set is {figure(spreads[0][axis] / unit, 2)} times as wide"
        )
    if not words:
        return "The reference does not vary along these axes."
    text = "; ".join(words)
    return (
        f"{text[0].upper()}{text[1:]}. The axes hold {percent(sum(projection.explained))} of the reference's variance."
    )


def _dots(axes: Axes, cloud: Cloud, colour: str) -> None:
    points = cloud.points
    if len(points) > _MOST_POINTS:
        # Evenly over the set, so that it is no part of it that a sorted folder begins with.
        points = tuple(points[at * len(points) // _MOST_POINTS] for at in range(_MOST_POINTS))
    for layer in range(_LAYERS):
        part = points[layer::_LAYERS]
        if not part:
            continue
        # A line without length and with round ends is a dot in a quarter of the bytes of a marker.
        path = Path(np.repeat(np.array(part), 2, axis=0), [Path.MOVETO, Path.LINETO] * len(part))
        path.should_simplify = False
        axes.add_patch(PathPatch(path, edgecolor=colour, facecolor="none", linewidth=3.2, capstyle="round", alpha=0.45))


def _ellipse(cloud: Cloud, colour: str, style: str) -> Ellipse:
    xx, xy, yy = cloud.covariance
    lengths, axes = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    width, height = 2 * np.sqrt(_RADIUS2 * lengths.clip(0)[::-1])
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
    return Ellipse(
        cloud.centre, width, height, angle=angle, edgecolor=colour, facecolor="none", linewidth=1.8, linestyle=style
    )


def draw_steps(
    steps: Sequence[float],
    values: Sequence[float],
    bands: Sequence[tuple[float, float] | None],
    best: int | None,
    unit: str,
    metric: str,
    words: str,
    name: str,
) -> Drawing | None:
    """A metric over the checkpoints of a run; None if it cannot be drawn.

    Args:
        steps: ascending.
        values: the metric's.
        bands: their 95 % intervals; None where it is not known.
        best: the place of the best; None if nobody knows which way is better.
        unit: what the steps count.
        metric: its name.
        words: what the plot shows.
        name: begins the ids in it.
    """
    if not _drawable(steps, values, *(band for band in bands if band is not None)):
        return None

    def paint(axes: Axes) -> None:
        known = [(step, *band) for step, band in zip(steps, bands, strict=True) if band is not None]
        if len(known) == len(steps):
            at, low, high = (np.array(column) for column in zip(*known, strict=True))
            axes.fill_between(at, low, high, color=GEN, alpha=_BAND, linewidth=0)
        else:
            for step, low_end, high_end in known:
                axes.plot([step, step], [low_end, high_end], color=GEN, linewidth=1.4)
        axes.plot(steps, values, color=GEN, linewidth=1.8, marker="o", markersize=4.5)
        if best is not None:
            axes.plot(
                steps[best], values[best], "o", markersize=10, markerfacecolor="none", markeredgecolor=INK, linewidth=0
            )
        axes.set_xlabel(unit)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=all(step == int(step) for step in steps)))
        _few_ticks(axes)

    return draw(paint, f"{metric} over the checkpoints", words, name, width=360, height=230)


def _drawable(*numbers: Sequence[float | int]) -> bool:
    return all(abs(value) <= _LARGEST for column in numbers for value in column)


def _few_ticks(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.tick_params(length=0, pad=5)


def _short(value: float, _: int | None) -> str:
    return f"{value:.6g}".replace("-", "−")


def _log_ticks(axes: Axes, reach: tuple[float, float]) -> None:
    """Whole numbers that are easily read, few enough for their labels."""
    low, high = reach
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    choices: list[tuple[float, ...]] = [(1, 2, 5), (1, 3), (1,)]
    for digits in choices:
        ticks = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
        if len(ticks) <= 6:
            break
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    formatter: Callable[[float, int | None], str] = lambda value, _: compact(value)  # noqa: E731
    axes.xaxis.set_major_formatter(FuncFormatter(formatter))
    axes.tick_params(length=0, pad=5)
