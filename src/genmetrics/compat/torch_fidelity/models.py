"""Generators of torch-fidelity's kind, and their images as a source."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.generative_model_modulewrapper import GenerativeModelModuleWrapper
from genmetrics.compat.torch_fidelity.generative_model_onnx import GenerativeModelONNX
from genmetrics.compat.torch_fidelity.noise_options import NoiseOptions, noise_source
from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.model_file import holds_torchscript
from genmetrics.sources.noise import draws

__all__ = ["ModelSource", "is_model_file", "load_model"]


def is_model_file(path: Path) -> bool:
    """Whether torch-fidelity takes a file for a generator."""
    return path.suffix in (".onnx", ".pth") and path.is_file()


def load_model(path: Path, z_size: int | None, z_type: str, num_classes: int, slot: str) -> GenerativeModelBase:
    """The generator in an ONNX or TorchScript file.

    Args:
        path: the file.
        z_size: the size of the noise of one sample.
        z_type: the name of a registered noise source.
        num_classes: how many classes it has.
        slot: ``input1`` or ``input2``, for messages.

    Raises:
        UsageError: if an option is missing or cannot be meant.
        SourceError: if there is no generator in the file.
    """
    if z_size is None:
        raise UsageError(f"'{path}' is a generator, and the size of its noise is not given: give {slot}_model_z_size")
    NoiseOptions(z_size, z_type, num_classes)
    if path.suffix == ".onnx":
        return GenerativeModelONNX(path, z_size, z_type, num_classes)
    if not holds_torchscript(path):
        raise SourceError(
            f"'{path}' is no TorchScript archive, which torch.jit.save writes; a file of weights alone does not say "
            "how images are made of them: give the module in Python, as GenerativeModelModuleWrapper(module, z_size, "
            "z_type, num_classes)"
        )
    try:
        with warnings.catch_warnings():
            # Newer torch tells everybody who loads such a file that they should have made another.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise SourceError(
            f"'{path}' cannot be loaded as TorchScript: {str(error).strip().splitlines()[0]}; it may be damaged, or "
            "made by a newer torch"
        ) from error
    return GenerativeModelModuleWrapper(module, z_size, z_type, num_classes)


class ModelSource(GeneratorSource):
    """The images of a generator, whose noise and labels are drawn as torch-fidelity draws them.

    The generator stays in the mode in which it is, training or evaluation, and is called once for each batch.

    Matches: torch-fidelity 0.4.0's noise bit for bit, but for ``unit``; tests/compat/torch_fidelity/test_models.py.
    """

    def __init__(
        self, model: GenerativeModelBase, *, num_samples: int | None, batch_size: int, seed: int, device: str, slot: str
    ) -> None:
        """Check the options; nothing is generated.

        Args:
            model: the generator.
            num_samples: how many images it makes.
            batch_size: how many at once.
            seed: of noise and labels.
            device: a CUDA device to which it is moved; another leaves it where it is.
            slot: ``input1`` or ``input2``, for messages.

        Raises:
            UsageError: if an option is missing or cannot be meant.
        """
        noise = NoiseOptions(model.z_size, model.z_type, model.num_classes)
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples < 1:
            raise UsageError(
                f"the number of samples of the generator is {num_samples!r}; give {slot}_model_num_samples, such as "
                "50000"
            )
        if torch.device(device).type == "cuda":
            model.cuda(torch.device(device))
        home = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        self._called = _Called(model)
        self.description = f"{type(model).__name__}, {num_samples:,} samples"
        super().__init__(
            self._called,
            z_size=noise.z_size,
            num_samples=num_samples,
            z_type=noise_source(noise.z_type),
            num_classes=noise.num_classes,
            draw="torch-fidelity",
            seed=seed,
            batch_size=min(batch_size, num_samples),
            device=home,
            probe=False,
        )

    def first_image(self) -> Tensor:
        """One image, (1, 3, h, w) uint8, of the first batch, which is not generated a second time in a run.

        Raises:
            UsageError: if the generator gives something else than uint8 images.
        """
        assert self._seed is not None
        drawn = next(draws(self.noise, self._seed, range(len(self)), len(self)))
        self._called.keep_next = True
        images = self.raw_images(drawn.noise, drawn.labels, drawn.positions[0], self._seed)
        return images[:1].expand(-1, 3, -1, -1).cpu()


class _Called:
    """A generator as a function, whose images must be uint8.

    Attributes:
        keep_next: whether the images of the next call are kept, for the one who asks for the same again.
    """

    def __init__(self, model: GenerativeModelBase) -> None:
        self._model = model
        self._kept: tuple[tuple[Tensor, ...], Tensor] | None = None
        self.keep_next = False

    def __call__(self, *inputs: Tensor) -> Any:
        kept, self._kept = self._kept, None
        if kept is not None and all(torch.equal(*pair) for pair in zip(kept[0], inputs, strict=True)):
            return kept[1]
        images: object = self._model(*inputs)
        if isinstance(images, Tensor):
            if images.dtype != torch.uint8:
                raise UsageError(
                    f"generator {type(self._model).__name__} gave {str(images.dtype).removeprefix('torch.')} images; "
                    "expected uint8, 0..255: let it return `(x * 127.5 + 128).clamp(0, 255).to(torch.uint8)` of x in "
                    "-1..1"
                )
            if self.keep_next:
                self._kept = (inputs, images)
        self.keep_next = False
        return images
