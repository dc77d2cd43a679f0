"""Whether an array can be images: its type, its shape and the order of its dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genmetrics.errors import SourceError

__all__ = ["check_array", "check_image", "check_tensor", "dtype_name"]

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class _Layout:
    """An order of dimensions, and the one that it may be mistaken for.

    Attributes:
        axis: where the channels are, of four dimensions.
        other_axis: where they are in the other order.
        name: the order in messages.
        other_name: the other order.
        other_rgb: the other order of RGB images.
        mend: makes this order of the other.
        as_grey: makes four dimensions of grey images.
        to_uint8: how values are clipped to 0..1, clipped to 0..255, and made uint8.
    """

    axis: int
    other_axis: int
    name: str
    other_name: str
    other_rgb: str
    mend: str
    as_grey: str
    to_uint8: tuple[str, str, str]


_ARRAY = _Layout(
    axis=3,
    other_axis=1,
    name="(n, h, w, c)",
    other_name="(n, c, h, w)",
    other_rgb="(n, 3, h, w)",
    mend="x.transpose(0, 2, 3, 1)",
    as_grey="x[..., None]",
    to_uint8=("x.clip(0, 1)", ".clip(0, 255)", "astype(np.uint8)"),
)
_TENSOR = _Layout(
    axis=1,
    other_axis=3,
    name="(n, c, h, w)",
    other_name="(n, h, w, c)",
    other_rgb="(n, h, w, 3)",
    mend="x.permute(0, 3, 1, 2)",
    as_grey="x[:, None]",
    to_uint8=("x.clamp(0, 1)", ".clamp(0, 255)", "to(torch.uint8)"),
)


def check_array(what: str, dtype: str, shape: Sequence[int], *, wanted: str = "uint8") -> None:
    """Check that a numpy array is uint8 (n, h, w, c) with 1, 3 or 4 channels.

    Args:
        what: what the array is called in messages.
        dtype: the name of its type.
        shape: its shape.
        wanted: the type to be expected instead of uint8, for floats whose range was stated.

    Raises:
        SourceError: if it is anything else, or could be (n, c, h, w) as well.
    """
    given = f"{what} is {dtype} of shape {tuple(shape)}, expected {_expected(wanted, '(n, h, w, 3)')}"
    _check(given, dtype, shape, _ARRAY, wanted)


def check_tensor(dtype: str, shape: Sequence[int], *, wanted: str = "uint8") -> None:
    """Check that a torch tensor is uint8 (n, c, h, w) with 1, 3 or 4 channels.

    Args:
        dtype: the name of its type, such as ``uint8``.
        shape: its shape.
        wanted: the type to be expected instead of uint8, for floats whose range was stated.

    Raises:
        SourceError: if it is anything else, or could be (n, h, w, c) as well.
    """
    given = f"the tensor is {dtype} of shape {tuple(shape)}, expected {_expected(wanted, '(n, 3, h, w)')}"
    _check(given, dtype, shape, _TENSOR, wanted)


def dtype_name(dtype: object) -> str:
    """The name of a type of torch's or numpy's, whatever its byte order: ``float32``."""
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def check_image(what: str, dtype: str, shape: Sequence[int], *, channels_first: bool) -> None:
    """Check the shape of one image, or of a batch of them, whose type has been checked already.

    Args:
        what: what it is called in messages.
        dtype: the name of its type.
        shape: three dimensions, or four for a batch.
        channels_first: whether channels come before rows and columns, as in tensors.

    Raises:
        SourceError: if it is neither grey nor RGB nor RGBA in that order of dimensions, or could be read in the other
            order as well.
    """
    order = "(3, h, w)" if channels_first else "(h, w, 3)"
    expected = order if len(shape) < 4 else f"(n, {order[1:]}"
    given = f"{what} is {dtype} of shape {tuple(shape)}, expected {expected}"
    if len(shape) == 2:
        raise SourceError(f"{given}; for a grey image, give `{'x[None]' if channels_first else 'x[..., None]'}`")
    if len(shape) not in (3, 4):
        raise SourceError(f"{given}; give one image or a batch of them")
    image = tuple(shape[-3:])
    channels, other = (image[0], image[2]) if channels_first else (image[2], image[0])
    if other == 3 and channels in _CHANNELS:
        raise SourceError(f"{given}; its channels may be at either end, which is not guessed: give Pillow images")
    if other == 3:
        axes = "(2, 0, 1)" if channels_first else "(1, 2, 0)"
        if len(shape) == 4:
            axes = "(0, 3, 1, 2)" if channels_first else "(0, 2, 3, 1)"
        call = "permute" if channels_first else "transpose"
        raise SourceError(f"{given}; its channels seem to be at the other end: give `x.{call}{axes}`")
    if channels not in _CHANNELS:
        raise SourceError(f"{given} (1 channel for grey and 4 for RGBA are taken too); give one of these layouts")
    if 0 in image:
        raise SourceError(f"{given}; it has no pixels")


def _expected(wanted: str, order: str) -> str:
    return f"uint8 {order}, values 0..255" if wanted == "uint8" else f"{wanted} {order}"


def _check(given: str, dtype: str, shape: Sequence[int], layout: _Layout, wanted: str) -> None:
    if dtype != wanted:
        raise SourceError(f"{given}; {_to_uint8(dtype, *layout.to_uint8)}")
    if len(shape) == 3:
        if shape[layout.axis - 1] in (3, 4):
            raise SourceError(f"{given}; for one colour image, give `x[None]`")
        raise SourceError(f"{given}; for grey images, give `{layout.as_grey}`")
    if len(shape) != 4:
        raise SourceError(f"{given}; give four dimensions")
    if shape[layout.other_axis] == 3:
        if shape[layout.axis] in _CHANNELS:
            raise SourceError(
                f"{given}; this may be {layout.name} as well as {layout.other_name}, and is not guessed: save the "
                "images as files in a folder"
            )
        raise SourceError(f"{given}; it looks like {layout.other_rgb}: give `{layout.mend}`")
    if shape[layout.axis] not in _CHANNELS:
        raise SourceError(f"{given} (1 channel for grey and 4 for RGBA are taken too); give one of these layouts")
    _check_sizes(given, shape)


def _check_sizes(given: str, shape: Sequence[int]) -> None:
    if shape[0] == 0:
        raise SourceError(f"{given}; it holds no image")
    if 0 in shape:
        raise SourceError(f"{given}; its images have no pixels")


def _to_uint8(dtype: str, clipped: str, clip: str, cast: str) -> str:
    if "float" in dtype:
        return (
            f"for values in [0, 1] give `({clipped} * 255).round().{cast}`, for values in [-1, 1] "
            f"`((x + 1) * 127.5).round(){clip}.{cast}`; or state the range from Python, "
            "`gm.open_source(x, value_range=(0, 1))` or (-1, 1)"
        )
    return f"if all values are in 0..255, give `x.{cast}`"
