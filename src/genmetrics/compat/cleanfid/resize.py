"""Resizing single images as clean-fid does, by our resizers."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.errors import BadImageError, DependencyError, UsageError
from genmetrics.preprocess.resize_pil import resize_pil_bicubic_f32, resize_pil_f32, resize_pil_u8
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear
from genmetrics.preprocess.resize_torch import resize_torch_bilinear
from genmetrics.registry import did_you_mean
from genmetrics.sources.decode import BadImage, decode_file
from genmetrics.sources.names import some

__all__ = ["FolderResizer", "Resizer", "build_resizer", "make_resizer", "resize_of_mode", "three_channels"]

#: From an (h, w, 3) image, 0..255, to a resized one.
Resizer = Callable[[np.ndarray], np.ndarray]

_MODES = ("clean", "legacy_tensorflow", "legacy_pytorch")
_LIBRARIES = ("PIL", "PyTorch", "TensorFlow", "OpenCV")
_SIZE = (299, 299)
_PIL_FILTERS = ("bicubic", "bilinear", "nearest", "lanczos", "box")
_TORCH_FILTERS = ("bilinear", "bicubic")
_OPENCV_FILTERS: Mapping[str, str] = MappingProxyType(
    {
        "bilinear": "INTER_LINEAR",
        "bicubic": "INTER_CUBIC",
        "lanczos": "INTER_LANCZOS4",
        "nearest": "INTER_NEAREST",
        "area": "INTER_AREA",
    }
)
# What TensorFlow 2's half-pixel resize without antialiasing is in torch.
_TENSORFLOW_IN_TORCH: Mapping[str, str] = MappingProxyType({"bilinear": "bilinear", "nearest": "nearest-exact"})


def build_resizer(mode: str) -> Resizer:
    """The resize of a mode: (h, w, 3), 0..255, to (299, 299, 3) float32, not rounded.

    In mode ``legacy_tensorflow`` images stay as they are: the network resizes them.

    Args:
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.

    Raises:
        UsageError: if there is no such mode.
    """
    if mode == "clean":
        return make_resizer("PIL", False, "bicubic", _SIZE)
    if mode == "legacy_pytorch":
        return make_resizer("PyTorch", False, "bilinear", _SIZE)
    if mode == "legacy_tensorflow":
        return _as_it_is
    raise UsageError(f"mode {mode!r}: {did_you_mean(mode, list(_MODES))}")


def resize_of_mode(mode: str, images: Tensor, size: tuple[int, int]) -> Tensor:
    """A mode's resize of a batch on its own device, not rounded.

    Args:
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        images: (n, 3, h, w) float32, 0..255.
        size: output height and width.
    """
    if mode == "clean":
        return resize_pil_bicubic_f32(images, size)
    if mode == "legacy_pytorch":
        return resize_torch_bilinear(images, size).clamp_(0, 255)
    return resize_tf1_bilinear(images, size)


def make_resizer(library: str, quantize_after: bool, filter: str, output_size: tuple[int, int]) -> Resizer:
    """A library's resize of one image.

    What it takes is (h, w, 3), 0..255, uint8 or floats; what it gives is of the same layout, clipped to 0..255, float32
    or, with ``quantize_after``, uint8. Grey images (h, w) become three equal channels, and of more channels the first
    three count.

    Args:
        library: ``PIL``, ``PyTorch``, ``TensorFlow`` (version 2's) or ``OpenCV``.
        quantize_after: whether the result is uint8: rounded by Pillow, which then takes uint8 images only, and
            truncated after the other libraries.
        filter: ``PIL``: bicubic, bilinear, nearest, lanczos or box, all but nearest antialiased. ``PyTorch``: bilinear
            or bicubic. ``TensorFlow``: bilinear or nearest, and with TensorFlow installed whatever its
            ``tf.image.resize`` knows. ``OpenCV``: bilinear, bicubic, lanczos, nearest or area.
        output_size: width and height for ``PIL`` and ``OpenCV``, height and width for the others, as these libraries
            have it.

    Raises:
        UsageError: if there is no such library, or it has no such filter.
        DependencyError: if the library is needed and not installed.
    """
    first, second = output_size
    if library == "PIL":
        _check_filter(library, filter, _PIL_FILTERS)
        return _Resize(_pil_u8(filter, (second, first)) if quantize_after else _pil_f32(filter, (second, first)))
    if library == "PyTorch":
        _check_filter(library, filter, _TORCH_FILTERS)
        return _Resize(_by_torch(filter, (first, second)), quantize_after)
    if library == "TensorFlow":
        if filter in _TENSORFLOW_IN_TORCH:
            return _Resize(_by_torch(_TENSORFLOW_IN_TORCH[filter], (first, second)), quantize_after)
        return _by_tensorflow(filter, (first, second), quantize_after)
    if library == "OpenCV":
        _check_filter(library, filter, tuple(_OPENCV_FILTERS))
        return _by_opencv(filter, (first, second), quantize_after)
    raise UsageError(f"library {library!r}: {did_you_mean(library, list(_LIBRARIES))}")


class _Resize:
    """A resize of batches, for single images."""

    def __init__(self, resize: Callable[[Tensor], Tensor], truncates: bool = False) -> None:
        self._resize = resize
        self._truncates = truncates

    def __call__(self, image: np.ndarray) -> np.ndarray:
        # A copy: what was decoded may not be written to, of which torch warns.
        pixels = torch.from_numpy(np.array(three_channels(image).transpose(2, 0, 1), order="C"))[None]
        resized = self._resize(pixels)[0].permute(1, 2, 0).clamp(0, 255).contiguous().numpy()
        return resized.astype(np.uint8) if self._truncates else resized


def three_channels(image: np.ndarray) -> np.ndarray:
    """An image as (h, w, 3); grey becomes three equal channels.

    Raises:
        UsageError: if it is no image.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise UsageError(f"an image has shape {image.shape}; expected (h, w, 3), 0..255")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return image[:, :, :3]


def _as_it_is(image: np.ndarray) -> np.ndarray:
    return image


def _pil_f32(filter: str, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    if filter == "nearest":
        return lambda images: _pil_nearest(images.to(torch.float32), size)
    return lambda images: resize_pil_f32(images, size, filter)


def _pil_u8(filter: str, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    def resize(images: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            raise UsageError(
                f"an image is {images.dtype}; Pillow resizes with quantize_after=True what is uint8: give "
                "quantize_after=False, or round it first"
            )
        return _pil_nearest(images, size) if filter == "nearest" else resize_pil_u8(images, size, filter)

    return resize


def _pil_nearest(images: Tensor, size: tuple[int, int]) -> Tensor:
    planes = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.NEAREST) for plane in images[0].numpy()]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None]


def _by_torch(mode: str, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    if mode == "bilinear":
        return lambda images: resize_torch_bilinear(images.to(torch.float32), size)
    aligned = None if mode == "nearest-exact" else False
    return lambda images: F.interpolate(images.to(torch.float32), size=size, mode=mode, align_corners=aligned)


def _by_tensorflow(filter: str, size: tuple[int, int], truncates: bool) -> Resizer:
    try:
        tensorflow = importlib.import_module("tensorflow")
    except ImportError as error:
        raise DependencyError(
            f"TensorFlow's {filter!r} resize needs TensorFlow, which is not installed (pip install tensorflow); "
            f"without it: {', '.join(_TENSORFLOW_IN_TORCH)}"
        ) from error

    def resize(image: np.ndarray) -> np.ndarray:
        resized = tensorflow.image.resize(three_channels(image), size, method=filter).numpy().clip(0, 255)
        return np.asarray(resized.astype(np.uint8) if truncates else resized)

    return resize


def _by_opencv(filter: str, size: tuple[int, int], truncates: bool) -> Resizer:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise DependencyError(
            "OpenCV's resize needs OpenCV, which is not installed (pip install opencv-python-headless)"
        ) from error

    def resize(image: np.ndarray) -> np.ndarray:
        pixels = np.ascontiguousarray(three_channels(image))
        resized = cv2.resize(pixels, size, interpolation=getattr(cv2, _OPENCV_FILTERS[filter])).clip(0, 255)
        return np.asarray(resized.astype(np.uint8) if truncates else resized)

    return resize


def _check_filter(library: str, filter: str, known: Sequence[str]) -> None:
    if filter not in known:
        raise UsageError(f"filter {filter!r} of library {library!r}: {did_you_mean(filter, list(known))}")


class FolderResizer(Dataset[int]):
    """Resizes image files into a folder, one with each item that is read: give it to a ``DataLoader``.

    An output is RGB and has the name of its file with another extension.
    """

    def __init__(
        self, files: Sequence[str | Path], outpath: str | Path, fn_resize: Resizer, output_ext: str = ".png"
    ) -> None:
        """Check the names.

        Args:
            files: image files.
            outpath: the folder of the outputs, which is there.
            fn_resize: from an (h, w, 3) uint8 array to the resized one.
            output_ext: ``.png``, which takes uint8 arrays, or ``.npy``.

        Raises:
            UsageError: if it is another extension, or two files would have one output.
        """
        if output_ext not in (".png", ".npy"):
            raise UsageError(f"output_ext {output_ext!r}: expected '.png' or '.npy'")
        self.files, self.outpath, self.output_ext, self.fn_resize = files, outpath, output_ext, fn_resize
        names = Counter(self._output(file).name for file in files)
        repeated = [name for name, times in names.items() if times > 1]
        if repeated:
            raise UsageError(
                f"several files would be written to one: {some(repeated)}; give one folder's files at a time"
            )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> int:
        """Resize one file, and give 0.

        Raises:
            BadImageError: if it cannot be read.
            UsageError: if the resized array cannot be written as asked.
        """
        path = Path(self.files[i])
        try:
            resized = self.fn_resize(decode_file(path, "drop").pixels)
        except BadImage as error:
            raise BadImageError(f"'{path}' cannot be read: {error}", ((str(path), str(error)),)) from error
        if self.output_ext == ".npy":
            np.save(self._output(path), resized)
        elif resized.dtype == np.uint8:
            Image.fromarray(resized).save(self._output(path))
        else:
            raise UsageError(
                f"the resized image is {resized.dtype}, which a PNG file does not hold; resize with "
                "quantize_after=True, or write output_ext='.npy'"
            )
        return 0

    def _output(self, file: str | Path) -> Path:
        return Path(self.outpath) / f"{Path(file).stem}{self.output_ext}"
