"""What of the image sets of a run puts its figures in doubt, and what to do about it.

The same rules are asked before any image is read, where little is known, and again of everything afterwards. Each says
nothing where it does not know enough. See docs/advice.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from genmetrics.accumulators.composition import side_at, sizes_text
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.engine.identical import Repeated, pairs_text, repeated_between, repeated_within
from genmetrics.engine.image_order import Order, order_of, order_of_labels, ordered_need, split_sizes
from genmetrics.engine.plan import Plan, width_of
from genmetrics.engine.seen import PIXELS, Seen
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.metrics.frechet import IMAGES_PER_DIMENSION, FrechetDistance
from genmetrics.types import Need, Sizes

__all__ = ["advice_on"]

#: So large a part of a side's images is not there by accident.
_SHARE = 0.1
#: A reference may have a few images twice, as published sets do.
_REPEATED_IN_REFERENCE = 0.01
#: Sides of images that are further apart than by this factor are resized in plainly different ways.
_UNLIKE_SIDES = 1.5
#: Encodings that lose detail, of which the second ones have a mode that does not.
_LOSSY = frozenset(("JPEG", "MPO"))
_MOSTLY_LOSSY = frozenset(("AVIF", "JPEG2000", "WEBP"))
_LOSSLESS = frozenset(("BMP", "DIB", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF"))

_Rule = Callable[[Plan, Seen, Seen | None], Iterator[str]]


def advice_on(plan: Plan, gen: Seen, ref: Seen | None) -> tuple[str, ...]:
    """All advice on the sets of a run, what weighs most first.

    Args:
        plan: the metrics.
        gen: what is known of the generated set.
        ref: of the reference; None if no metric needs one.
    """
    return tuple(dict.fromkeys(text for rule in _RULES for text in rule(plan, gen, ref)))


def _the_same_set(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if _are_equal(gen, ref):
        yield (
            "gen and ref are the same images (equal digests); a distance of a set from itself says nothing. Give other "
            "images for one of the two"
        )


def _identical_to_reference(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if ref is None or gen.keys is None or ref.keys is None or _are_equal(gen, ref):
        return
    found = repeated_between(gen.keys, ref.keys)
    if found.count:
        yield (
            f"{_part(found.count, gen, 'generated')} identical to reference images, pixel "
            f"for pixel ({pairs_text(found, gen.names, ref.names)}): either the sets overlap, or the generator gives "
            "back what it was trained on, and all figures look better than the model is. Leave such images out of one "
            "of the sets; authpct and nearest look for near copies too"
        )


def _identical_generated(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if gen.keys is None:
        return
    found = repeated_within(gen.keys)
    if found.count:
        yield (
            f"{_repeated_text(found, gen, 'generated')}: the figures are of fewer images than they say. Look for a "
            "seed that is set again for each batch or process, or for files that were copied, and generate these anew"
        )


def _identical_reference(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if ref is None or ref.keys is None:
        return
    found = repeated_within(ref.keys)
    if found.count > _REPEATED_IN_REFERENCE * ref.keys.num_samples:
        yield (
            f"{_repeated_text(found, ref, 'reference')}: these count more than the others. Remove the copies, unless "
            "the set was published with them"
        )


def _lossy_samples(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if not _has_lossy(gen):
        return
    beside = ""
    if ref is not None and _is_lossless(ref):
        beside = (
            ", and a distance takes it for a difference from the reference, of which "
            f"{_number_lossy(ref):,} of {ref.num_samples:,} images are"
        )
    yield (
        f"{_lossy_text(gen, 'generated')}: the figures measure that compression along with the generator{beside}. Save "
        "samples as PNG"
    )


def _lossy_reference(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if ref is None or not _has_lossy(ref) or not _is_lossless(gen):
        return
    yield (
        f"{_lossy_text(ref, 'reference')}, and {_number_lossy(gen):,} of {gen.num_samples:,} generated ones: a part of "
        "the distance is that of compressed images from others. If these files were made from a lossless original, "
        "take that; if they are the original, compare only with values against the same files"
    )


def _unlike_sizes(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if ref is None or gen.sizes is None or ref.sizes is None or not _resized(gen, plan.ref_needs):
        return
    ours, theirs = side_at(gen.sizes, 0.5), side_at(ref.sizes, 0.5)
    factor = max(ours, theirs) / min(ours, theirs)
    if factor > _UNLIKE_SIDES:
        yield (
            f"generated images have {sizes_text(gen.sizes)} and reference images {sizes_text(ref.sizes)}, typical "
            f"sides that differ by a factor of {factor:.1f}: the network sees both at one size, and blur or detail "
            f"that is only the resize's counts as a difference. Make the reference at the samples' size, or give "
            f"'--crop adm-{_side(gen.sizes)}', which brings both to one; the names of the metrics then say so"
        )


def _many_sizes(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    if gen.sizes is None or not _resized(gen, plan.gen_needs):
        return
    small, large = (side_at(gen.sizes, fraction) for fraction in (0.05, 0.95))
    if large / small > _UNLIKE_SIDES:
        yield (
            f"generated images have {sizes_text(gen.sizes)}: the network sees all of them at one size, some blurred "
            f"and some with less detail than they have. Generate one size, or give '--crop adm-{_side(gen.sizes)}'"
        )


def _sorted_by_class(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    for metric in plan.metrics:
        need = ordered_need(metric)
        text = "" if need is None else _order_text(need, gen)
        if text:
            yield (
                f"{metric.id}: the images come in the order of their classes, and the score is the mean over runs of "
                f"them as they come: {text}. Shuffle the samples before they are saved, or ask for -m isc, which "
                "permutes them"
            )


def _too_few(plan: Plan, gen: Seen, ref: Seen | None) -> Iterator[str]:
    groups: dict[tuple[str, int], list[Metric]] = {}
    for metric in plan.metrics:
        if isinstance(metric, FrechetDistance):
            need = metric.needs[0]
            groups.setdefault((need.extractor, width_of(need)), []).append(metric)
    for (extractor, width), metrics in groups.items():
        least = IMAGES_PER_DIMENSION * width
        counts = {"generated": gen.num_samples, "reference": None if ref is None else ref.num_samples}
        few = {side: count for side, count in counts.items() if count is not None and count < least}
        if few:
            yield _few_text(plan, metrics, extractor, width, few)


def _few_text(plan: Plan, metrics: Sequence[Metric], extractor: str, width: int, few: dict[str, int]) -> str:
    ids = ", ".join(metric.id for metric in metrics)
    images = " and ".join(f"{count:,} {side}" for side, count in few.items())
    of_pool = METRICS.get("kid_full").extractor
    other = "-m kid_full" if extractor == of_pool else f"-m kid_full --extractor {extractor}"
    meaning, until = "", ""
    # Of no more images than dimensions the metric itself says what the value is.
    if min(few.values()) > width:
        meaning = ", so that the value lies above that of many images of the same models"
        until = "compare only with values of exactly as many images, or "
    return (
        f"{ids}: {images} images are fewer than {IMAGES_PER_DIMENSION} per feature dimension ({width:,}){meaning}. "
        f"{IMAGES_PER_DIMENSION * width:,} on each side would do, and bring a value without that bias; with "
        f"fewer, {until}ask for {other}, which has no such bias"
    )


def _order_text(need: Need, gen: Seen) -> str:
    """How the splits are unlike; empty if they are not, or nobody knows."""
    if gen.labels is not None:
        sizes = split_sizes(need, len(gen.labels))
        if len(sizes) < 2:
            return ""
        order, most, total = order_of_labels(gen.labels, sizes)
        what = f"no run of up to {max(sizes):,} holds more than {most:,} of {total:,} classes, which caps the score"
        if most == total:
            what = f"runs of up to {max(sizes):,} hold the {total:,} classes in unlike shares, which lowers the score"
        return what if order.matters else ""
    if gen.stats is None or not gen.stats.meets(need):
        return ""
    counts, sums = cast(SoftmaxSums, gen.stats.get(need)).sums()
    if len(counts) < 2:
        return ""
    return _divergence_text(order_of(counts, sums), int(counts.max()))


def _divergence_text(order: Order, size: int) -> str:
    if not order.matters:
        return ""
    return (
        f"by the network's own classes runs of up to {size:,} differ by {order.divergence:.2f} nats, where a random "
        f"order stays below {order.limit:.2f}, and the score is about {math.exp(order.divergence):.2f} times lower "
        "than in a random order"
    )


def _side(sizes: Sizes) -> int:
    """What the images could be brought to: the shorter side where all are of one size, else the typical one."""
    return min(sizes.smallest) if sizes.smallest == sizes.largest else round(side_at(sizes, 0.5))


def _part(count: int, seen: Seen, side: str) -> str:
    """``3 of 1,000 generated images are``."""
    return f"{count:,} of {seen.num_samples:,} {side} images {'is' if count == 1 else 'are'}"


def _repeated_text(found: Repeated, seen: Seen, side: str) -> str:
    return (
        f"{_part(found.count, seen, side)} identical to another one, pixel for pixel, so that {found.distinct:,} are "
        f"distinct ({pairs_text(found, seen.names, seen.names)})"
    )


def _are_equal(gen: Seen, ref: Seen | None) -> bool:
    return ref is not None and gen.digest is not None and gen.digest == ref.digest


def _number_lossy(seen: Seen) -> int:
    return sum(number for name, number in seen.formats or () if name in _LOSSY | _MOSTLY_LOSSY)


def _has_lossy(seen: Seen) -> bool:
    """Whether a good part of the images is known to have lost detail."""
    return seen.num_samples is not None and _number_lossy(seen) > _SHARE * seen.num_samples


def _is_lossless(seen: Seen) -> bool:
    """Whether nearly all images are known to have lost none."""
    if seen.formats is None or seen.num_samples is None:
        return False
    known = sum(number for name, number in seen.formats if name in _LOSSLESS)
    if seen.kind in PIXELS:
        known += seen.num_samples - sum(number for _, number in seen.formats)
    return known >= (1 - _SHARE) * seen.num_samples


def _lossy_text(seen: Seen, side: str) -> str:
    names = [name for name, _ in seen.formats or () if name in _LOSSY | _MOSTLY_LOSSY]
    told = " by their names" if seen.by_name else ""
    unless = ", unless it was told not to" if any(name in _MOSTLY_LOSSY for name in names) else ""
    return f"{_part(_number_lossy(seen), seen, side)} {' or '.join(names)}{told}, which loses detail{unless}"


def _resized(seen: Seen, needs: Sequence[Need]) -> bool:
    """Whether a network sees images at another size than they are read at, and nothing brings them to one before."""
    if seen.stats is None:
        return False
    records = seen.stats.extractors
    specs = [records[need.extractor].preprocess.get(need.preprocess) for need in needs if need.extractor in records]
    return any(spec and spec.get("size") is not None and spec.get("source_crop") is None for spec in specs)


_RULES: tuple[_Rule, ...] = (
    _the_same_set,
    _identical_to_reference,
    _identical_generated,
    _lossy_samples,
    _lossy_reference,
    _unlike_sizes,
    _many_sizes,
    _sorted_by_class,
    _too_few,
    _identical_reference,
)
