"""What a page shows of two sets beyond their figures: a curve, spectra, a map, classes, and single images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from genmetrics.report.plain_values import PlainReader
from genmetrics.types import Table

__all__ = ["SECTIONS", "Cloud", "Curve", "Diagnostics", "Gallery", "Picture", "Projection", "Section", "Spectra"]

#: ``raises`` are the generated images that raise the distance most, ``unrealistic`` those of least realism,
#: ``uncovered`` the reference images that nothing generated comes near, ``copied`` the generated images nearest to a
#: reference image.
Section = Literal["curve", "spectra", "projection", "classes", "raises", "unrealistic", "uncovered", "copied"]
SECTIONS: tuple[Section, ...] = get_args(Section)

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Curve:
    """A Fréchet distance against the number of generated images, the reference as it is.

    Attributes:
        sizes: how many of the generated images, ascending.
        values: the distance of so many, on average over the parts that were taken.
        low: the least of these parts.
        high: the largest.
        limit: the distance of infinitely many generated images; None where there are too few to tell.
        slope: the distance of n images is about limit + slope / n; None likewise.
        limit_low: the lower end of the limit's 95 % interval; None likewise.
        limit_high: the upper end.
    """

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    limit: float | None = None
    slope: float | None = None
    limit_low: float | None = None
    limit_high: float | None = None


@dataclass(frozen=True)
class Spectra:
    """Eigenvalues of the covariances, in squared feature units, descending.

    Attributes:
        ranks: which of them, from 1; not all where there are many.
        gen: of the generated set's covariance; 0 beyond its rank.
        ref: of the reference's.
    """

    ranks: tuple[int, ...]
    gen: tuple[float, ...]
    ref: tuple[float, ...]


@dataclass(frozen=True)
class Cloud:
    """One set along two axes, in feature units from the reference's mean.

    Attributes:
        points: of a part of the images; none where the set is known by mean and covariance alone.
        centre: the mean.
        covariance: xx, xy and yy.
    """

    points: tuple[tuple[float, float], ...]
    centre: tuple[float, float]
    covariance: tuple[float, float, float]


@dataclass(frozen=True)
class Projection:
    """Both sets along the two leading principal axes of the reference.

    Attributes:
        gen: the generated set.
        ref: the reference.
        explained: the part of the reference's variance that is along each axis, 0..1.
    """

    gen: Cloud
    ref: Cloud
    explained: tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        index: in its set.
        name: what a person finds it by; empty where that is not known.
        label: its class; None where that is not known.
        figures: what is known of it, such as ``influence``, ``realism`` or ``distance`` to ``nearest``.
        image: a small version as a ``data:`` address; empty where its pixels cannot be had again.
        size: its own width and height in pixels; None likewise.
        nearest: the nearest image of the other set; None where nobody looked for it.
    """

    index: int
    name: str
    label: int | str | None
    figures: Mapping[str, float]
    image: str = ""
    size: tuple[int, int] | None = None
    nearest: Picture | None = None


@dataclass(frozen=True)
class Gallery:
    """Images in the order in which they are shown, out of how many."""

    pictures: tuple[Picture, ...]
    of: int


@dataclass(frozen=True)
class Diagnostics:
    """What can be shown of a run; a section that cannot is None, and ``absent`` says why.

    Attributes:
        metric: the id of the Fréchet distance that curve, influences and classes are of.
        features: the protocol of the features that all of it is of.
        curve: the distance against the number of images.
        spectra: of the two covariances.
        projection: the sets along the reference's leading axes.
        classes: the influence of each class: columns ``class``, ``num_gen``, ``influence``, ``mean_influence``.
        raises: see ``Section``.
        unrealistic: likewise.
        uncovered: likewise.
        copied: likewise.
        absent: by section, why it is not there.
    """

    metric: str
    features: str
    curve: Curve | None = None
    spectra: Spectra | None = None
    projection: Projection | None = None
    classes: Table | None = None
    raises: Gallery | None = None
    unrealistic: Gallery | None = None
    uncovered: Gallery | None = None
    copied: Gallery | None = None
    absent: Mapping[Section, str] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, in the layout of the JSON report."""
        # Views of mappings cannot be copied.
        tables = None if self.classes is None else {name: list(column) for name, column in self.classes.items()}
        return asdict(replace(self, classes=tables, absent=dict(self.absent)))

    @classmethod
    def from_dict(cls, read: object, name: str) -> Diagnostics:
        """The diagnostics whose ``to_dict`` this is, after JSON or not.

        Args:
            read: the values.
            name: what a person knows the result by that they are from.

        Raises:
            UsageError: naming the field that is not as it should be.
        """
        return _Reader(name).diagnostics(read)


class _Reader(PlainReader):
    """Takes plain values apart and names what is not as it should be."""

    def diagnostics(self, read: object) -> Diagnostics:
        fields = self.mapping(read, "diagnostics")

        def part(key: Section, of: Callable[[object, str], _Part]) -> _Part | None:
            return None if fields.get(key) is None else of(fields[key], f"diagnostics.{key}")

        absent = self.mapping(fields.get("absent") or {}, "diagnostics.absent")
        return Diagnostics(
            self.text(fields.get("metric"), "diagnostics.metric"),
            self.text(fields.get("features"), "diagnostics.features"),
            part("curve", self._curve),
            part("spectra", self._spectra),
            part("projection", self._projection),
            part("classes", self._table),
            part("raises", self._gallery),
            part("unrealistic", self._gallery),
            part("uncovered", self._gallery),
            part("copied", self._gallery),
            {key: self.text(absent[key], f"diagnostics.absent.{key}") for key in SECTIONS if key in absent},
        )

    def _curve(self, read: object, where: str) -> Curve:
        fields = self.mapping(read, where)
        sizes, values, low, high = self._columns(fields, where, ("sizes", "values", "low", "high"))
        ends = {
            key: None if fields.get(key) is None else self.number(fields[key], f"{where}.{key}")
            for key in ("limit", "slope", "limit_low", "limit_high")
        }
        return Curve(tuple(int(size) for size in sizes), values, low, high, **ends)

    def _spectra(self, read: object, where: str) -> Spectra:
        ranks, gen, ref = self._columns(self.mapping(read, where), where, ("ranks", "gen", "ref"))
        return Spectra(tuple(int(rank) for rank in ranks), gen, ref)

    def _projection(self, read: object, where: str) -> Projection:
        fields = self.mapping(read, where)
        clouds = [self._cloud(fields.get(side), f"{where}.{side}") for side in ("gen", "ref")]
        first, second = self.numbers(fields.get("explained"), f"{where}.explained", 2)
        return Projection(clouds[0], clouds[1], (first, second))

    def _cloud(self, read: object, where: str) -> Cloud:
        fields = self.mapping(read, where)
        points = []
        for point in self.sequence(fields.get("points"), f"{where}.points"):
            x, y = self.numbers(point, f"{where}.points", 2)
            points.append((x, y))
        x, y = self.numbers(fields.get("centre"), f"{where}.centre", 2)
        xx, xy, yy = self.numbers(fields.get("covariance"), f"{where}.covariance", 3)
        return Cloud(tuple(points), (x, y), (xx, xy, yy))

    def _table(self, read: object, where: str) -> Table:
        fields = self.mapping(read, where)
        table = {name: list(self.sequence(column, f"{where}.{name}")) for name, column in fields.items()}
        if len({len(column) for column in table.values()}) > 1:
            raise self.damaged(where, "columns of equal length", {name: len(column) for name, column in table.items()})
        for name, column in table.items():
            for value in column:
                if not isinstance(value, (int, float, str)) or value != value:  # noqa: PLR0124  # only NaN is not itself
                    raise self.damaged(f"{where}.{name}", "numbers or texts", value)
        return table

    def _gallery(self, read: object, where: str) -> Gallery:
        fields = self.mapping(read, where)
        pictures = self.sequence(fields.get("pictures"), f"{where}.pictures")
        return Gallery(
            tuple(self._picture(picture, f"{where}.pictures") for picture in pictures),
            int(self.number(fields.get("of"), f"{where}.of")),
        )

    def _picture(self, read: object, where: str) -> Picture:
        fields = self.mapping(read, where)
        label, size, nearest = fields.get("label"), fields.get("size"), fields.get("nearest")
        if label is not None and not isinstance(label, (int, str)):
            raise self.damaged(f"{where}.label", "a number or a text", label)
        image = self.text(fields.get("image", ""), f"{where}.image")
        if image and not image.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")):
            raise self.damaged(f"{where}.image", "'data:image/png;base64,…' or 'data:image/jpeg;base64,…'", image)
        figures = self.mapping(fields.get("figures"), f"{where}.figures")
        width_height = None if size is None else [int(side) for side in self.numbers(size, f"{where}.size", 2)]
        return Picture(
            int(self.number(fields.get("index"), f"{where}.index")),
            self.text(fields.get("name", ""), f"{where}.name"),
            label,
            {key: self.number(value, f"{where}.figures.{key}") for key, value in figures.items()},
            image,
            None if width_height is None else (width_height[0], width_height[1]),
            None if nearest is None else self._picture(nearest, f"{where}.nearest"),
        )

    def _columns(self, fields: Mapping[str, Any], where: str, names: Sequence[str]) -> list[tuple[float, ...]]:
        columns = [self.numbers(fields.get(name), f"{where}.{name}") for name in names]
        if len({len(column) for column in columns}) > 1:
            lengths = dict(zip(names, map(len, columns), strict=True))
            raise self.damaged(where, "columns of equal length", lengths)
        return columns
