"""Whether an array can be images: its type, its shape and the order of its dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from genmetrics.errors import SourceError

__all__ = ["check_array", "check_tensor"]

_CHANNELS = (1, 3, 4)


def check_array(what: str, dtype: str, shape: Sequence[int]) -> None:
    """Check that a numpy array is uint8 (n, h, w, c) with 1, 3 or 4 channels.

    Args:
        what: what the array is called in messages.
        dtype: the name of its type.
        shape: its shape.

    Raises:
        SourceError: if it is anything else, or could be (n, c, h, w) as well.
    """
    given = f"{what} is {dtype} of shape {tuple(shape)}, expected uint8 (n, h, w, 3), values 0..255"
    if dtype != "uint8":
        raise SourceError(f"{given}; {_to_uint8(dtype, 'x.clip(0, 1)', '.clip(0, 255)', 'astype(np.uint8)')}")
    if len(shape) == 3:
        hint = "x[None]" if shape[2] in (3, 4) else "x[..., None]"
        raise SourceError(f"{given}; for {'one colour image' if hint == 'x[None]' else 'grey images'}, give `{hint}`")
    if len(shape) != 4:
        raise SourceError(f"{given}; give four dimensions")
    if shape[1] == 3:
        if shape[3] in _CHANNELS:
            raise SourceError(
                f"{given}; this may be (n, h, w, c) as well as (n, c, h, w), and is not guessed: save the "
                "images as files in a folder"
            )
        raise SourceError(f"{given}; it looks like (n, 3, h, w): give `x.transpose(0, 2, 3, 1)`")
    if shape[3] not in _CHANNELS:
        raise SourceError(f"{given} (1 channel for grey and 4 for RGBA are taken too); give one of these layouts")
    _check_sizes(given, shape)


def check_tensor(dtype: str, shape: Sequence[int]) -> None:
    """Check that a torch tensor is uint8 (n, c, h, w) with 1, 3 or 4 channels.

    Args:
        dtype: the name of its type, such as ``uint8``.
        shape: its shape.

    Raises:
        SourceError: if it is anything else, or could be (n, h, w, c) as well.
    """
    given = f"the tensor is {dtype} of shape {tuple(shape)}, expected uint8 (n, 3, h, w), values 0..255"
    if dtype != "uint8":
        raise SourceError(f"{given}; {_to_uint8(dtype, 'x.clamp(0, 1)', '.clamp(0, 255)', 'to(torch.uint8)')}")
    if len(shape) == 3:
        hint = "x[None]" if shape[0] in (3, 4) else "x[:, None]"
        raise SourceError(f"{given}; for {'one colour image' if hint == 'x[None]' else 'grey images'}, give `{hint}`")
    if len(shape) != 4:
        raise SourceError(f"{given}; give four dimensions")
    if shape[3] == 3:
        if shape[1] in _CHANNELS:
            raise SourceError(
                f"{given}; this may be (n, c, h, w) as well as (n, h, w, c), and is not guessed: save the "
                "images as files in a folder"
            )
        raise SourceError(f"{given}; it looks like (n, h, w, 3): give `x.permute(0, 3, 1, 2)`")
    if shape[1] not in _CHANNELS:
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
            f"`((x + 1) * 127.5).round(){clip}.{cast}`"
        )
    return f"if all values are in 0..255, give `x.{cast}`"
