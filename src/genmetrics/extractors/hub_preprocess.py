"""What the transformers library says that a model wants of its images, as a preprocessing of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from genmetrics.errors import UsageError
from genmetrics.preprocess.spec import PREPROCESS, Fit, Preprocess, register_preprocess

__all__ = ["hub_preprocess"]

#: Pillow's numbers of the filters that are read.
_RESIZERS = {2: "pil-bilinear", 3: "pil-bicubic"}
_UNDERSTOOD = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
#: The processors that squash an image to a size that is one number; others bring the shorter side to it.
_SQUASHING = ("ViTImageProcessor", "ViTImageProcessorFast", "ViTFeatureExtractor")
#: Below this a ConvNeXt processor crops, and from here on it squashes.
_CONVNEXT_WARPS = 384


def hub_preprocess(settings: Mapping[str, Any], name: str) -> str:
    """The id of the preprocessing that a ``preprocessor_config.json`` describes; it is registered.

    Images are resized by Pillow, as by the library's processors that are not called fast.

    Args:
        settings: the file's content.
        name: of the extractor, for messages.

    Raises:
        UsageError: if it asks for something that cannot be said as a preprocessing here, naming it.
    """
    unknown = [key for key, value in settings.items() if key.startswith("do_") and value and key not in _UNDERSTOOD]
    if unknown:
        raise _not_understood(name, unknown[0], settings[unknown[0]])
    if not settings.get("do_resize", True):
        raise _not_understood(name, "do_resize", False)
    size, fit, cover = _size(settings, name)
    divisor = _divisor(settings, name)
    mean, std = (0.0,) * 3, (1.0,) * 3
    if settings.get("do_normalize", True):
        mean, std = _channels(settings, "image_mean", name), _channels(settings, "image_std", name)
    resample = settings.get("resample", 3)
    if resample not in _RESIZERS:
        raise _not_understood(name, "resample", resample)
    fields = (_RESIZERS[resample], size, mean, std, divisor, fit, cover)
    for known in PREPROCESS.values():
        if fields == _fields(known) and known.crop is None and known.divide_after == (divisor != 1):
            return known.id
    digest = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:8]
    spec = Preprocess(
        f"{_RESIZERS[resample]}-{size[0]}-hf{digest}",
        _RESIZERS[resample],
        size,
        mean,
        std,
        divisor,
        fit=fit,
        divide_after=divisor != 1,
        cover=cover,
    )
    return register_preprocess(spec)


def _fields(known: Preprocess) -> tuple[object, ...]:
    return (known.resizer, known.size, known.mean, known.std, known.divisor, known.fit, known.cover)


def _size(settings: Mapping[str, Any], name: str) -> tuple[tuple[int, int], Fit, int | None]:
    """The size of the network's input, how an image becomes it, and its shorter side before a crop."""
    given = settings.get("size")
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    if isinstance(given, int):
        given = {"height": given, "width": given} if kind in _SQUASHING else {"shortest_edge": given}
    if not isinstance(given, Mapping):
        raise _not_understood(name, "size", given)
    crops = bool(settings.get("do_center_crop", False))
    if set(given) == {"height", "width"} and not crops:
        return (_whole(given["height"], "size", name), _whole(given["width"], "size", name)), "squash", None
    if set(given) != {"shortest_edge"}:
        raise _not_understood(name, "size", dict(given))
    edge = _whole(given["shortest_edge"], "size", name)
    if "ConvNext" in kind:
        if edge >= _CONVNEXT_WARPS:
            return (edge, edge), "squash", None
        cover = int(edge / settings.get("crop_pct", 224 / 256))
        return (edge, edge), "cover", None if cover == edge else cover
    crop = settings.get("crop_size") if crops else None
    side = crop if isinstance(crop, int) else None
    if isinstance(crop, Mapping) and crop.get("height") == crop.get("width"):
        side = crop.get("height")
    # Without a square crop the images of a batch would be of several sizes.
    if side is None or _whole(side, "crop_size", name) > edge:
        raise _not_understood(name, "crop_size", crop)
    return (side, side), "cover", None if side == edge else edge


def _divisor(settings: Mapping[str, Any], name: str) -> float:
    if not settings.get("do_rescale", True):
        return 1.0
    factor = settings.get("rescale_factor", 1 / 255)
    if not isinstance(factor, int | float) or factor <= 0 or settings.get("rescale_offset"):
        raise _not_understood(name, "rescale_factor", factor)
    divisor = 1 / factor
    return float(round(divisor)) if abs(divisor - round(divisor)) < 1e-6 else divisor


def _channels(settings: Mapping[str, Any], key: str, name: str) -> tuple[float, float, float]:
    values = settings.get(key)
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise _not_understood(name, key, values)
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _whole(value: object, key: str, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _not_understood(name, key, value)
    return value


def _not_understood(name: str, key: str, value: object) -> UsageError:
    return UsageError(
        f"extractor {name!r}: its preprocessor_config.json has {key} = {value!r}, which cannot be said as a "
        "preprocessing here. Understood are: a size of height and width, or of the shorter side with a square centre "
        "crop; bilinear (2) and bicubic (3); rescale_factor, image_mean and image_std. Write an extractor of your own "
        "with 'python:', whose module has an attribute 'preprocess'"
    )
