"""What the transformers library says that a model wants of its images, as a preprocessing of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from genmetrics.errors import UsageError
from genmetrics.preprocess.spec import PREPROCESS, CropRounding, Fit, Preprocess, register_preprocess

__all__ = ["hub_preprocess"]

#: Pillow's numbers of the filters that are read.
_RESIZERS = {2: "pil-bilinear", 3: "pil-bicubic"}
_UNDERSTOOD = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}


@dataclass(frozen=True)
class _Processor:
    """What a processor class of the library does where its settings do not say.

    Attributes:
        squashes: whether a size that is one number is height and width, in place of the shorter side.
        resample: Pillow's number of the filter.
        crops: the side of the square that is cut out of the centre; None if none is.
    """

    squashes: bool
    resample: int
    crops: int | None = None


#: Those that do nothing of their own beyond what their settings say; ConvNeXT's is treated apart.
_PROCESSORS: Mapping[str, _Processor] = MappingProxyType(
    {
        "BeitImageProcessor": _Processor(True, 3),
        "BitImageProcessor": _Processor(False, 3, 224),
        "BlipImageProcessor": _Processor(True, 3),
        "CLIPImageProcessor": _Processor(False, 3, 224),
        "ChineseCLIPImageProcessor": _Processor(False, 3, 224),
        "ConvNextImageProcessor": _Processor(False, 3),
        "DeiTImageProcessor": _Processor(True, 3, 224),
        "MobileNetV1ImageProcessor": _Processor(False, 2, 224),
        "MobileNetV2ImageProcessor": _Processor(False, 2, 224),
        "PvtImageProcessor": _Processor(True, 3),
        "SegformerImageProcessor": _Processor(True, 2),
        "SiglipImageProcessor": _Processor(False, 3),
        "ViTImageProcessor": _Processor(True, 2),
    }
)
_CONVNEXT = "ConvNextImageProcessor"
#: Below this a ConvNeXt processor crops, and from here on it squashes.
_CONVNEXT_WARPS = 384


def _read(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings with what the processor class does where they do not say.

    Raises:
        UsageError: if it is a class that is not known, or none is named and something is left open.
    """
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    kind = kind.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast").removesuffix("Pil")
    read = {key: value for key, value in settings.items() if value is not None}
    known = _PROCESSORS.get(kind)
    if known is None:
        if kind:
            raise UsageError(
                f"extractor {name!r}: its images go through a {kind}, which is not known here; known are "
                f"{', '.join(_PROCESSORS)}. Write an extractor of your own with 'python:', whose module has an "
                "attribute 'preprocess'"
            )
        if "resample" not in read or isinstance(read.get("size"), int):
            missing = "size" if "resample" in read else "resample"
            raise UsageError(
                f"extractor {name!r}: its preprocessor_config.json has {missing} = {read.get(missing)!r} and names no "
                "image_processor_type, which would say what that means; add it, such as "
                '\'"image_processor_type": "ViTImageProcessor"\''
            )
        return read
    if isinstance(size := read.get("size"), int):
        read["size"] = {"height": size, "width": size} if known.squashes else {"shortest_edge": size}
    defaults = {"resample": known.resample, "do_center_crop": known.crops is not None, "crop_size": known.crops}
    return {**defaults, **read, "image_processor_type": kind}


def hub_preprocess(settings: Mapping[str, Any], name: str) -> str:
    """The id of the preprocessing that a ``preprocessor_config.json`` describes; it is registered.

    Images are resized by Pillow, as by the library's processors that are not called fast.

    Args:
        settings: the file's content.
        name: of the extractor, for messages.

    Raises:
        UsageError: if it asks for something that cannot be said as a preprocessing here, naming it.
    """
    settings = _read(settings, name)
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
    resample = settings["resample"]
    if resample not in _RESIZERS:
        raise _not_understood(name, "resample", resample)
    rounding: CropRounding = "floor" if fit == "cover" else "round"
    fields = (_RESIZERS[resample], size, mean, std, divisor, fit, cover, rounding)
    for known in PREPROCESS.values():
        if fields == _fields(known) and known.crop is None and known.divide_after == (divisor != 1):
            return known.id
    digest = hashlib.sha256(json.dumps(fields if fit == "cover" else fields[:-1]).encode()).hexdigest()[:8]
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
        crop_rounding=rounding,
    )
    return register_preprocess(spec)


def _fields(known: Preprocess) -> tuple[object, ...]:
    return (
        known.resizer,
        known.size,
        known.mean,
        known.std,
        known.divisor,
        known.fit,
        known.cover,
        known.crop_rounding,
    )


def _size(settings: Mapping[str, Any], name: str) -> tuple[tuple[int, int], Fit, int | None]:
    """The size of the network's input, how an image becomes it, and its shorter side before a crop."""
    given = settings.get("size")
    convnext = settings.get("image_processor_type") == _CONVNEXT
    if not isinstance(given, Mapping):
        raise _not_understood(name, "size", given)
    crops = bool(settings.get("do_center_crop", False))
    if set(given) == {"height", "width"} and not convnext:
        if crops and settings.get("crop_size") not in (given, *({given["height"]} & {given["width"]})):
            raise _not_understood(name, "do_center_crop", True)
        return (_whole(given["height"], "size", name), _whole(given["width"], "size", name)), "squash", None
    if set(given) != {"shortest_edge"}:
        raise _not_understood(name, "size", dict(given))
    edge = _whole(given["shortest_edge"], "size", name)
    if convnext:
        if crops:
            raise _not_understood(name, "do_center_crop", True)
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
