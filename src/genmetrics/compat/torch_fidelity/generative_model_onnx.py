"""A generator in an ONNX file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from genmetrics.compat.torch_fidelity.noise_model import NoiseModel
from genmetrics.errors import UsageError
from genmetrics.paths import require_file
from genmetrics.sources.generator import generator_device
from genmetrics.sources.onnx import OnnxNetwork, open_session

__all__ = ["GenerativeModelONNX"]


class GenerativeModelONNX(NoiseModel):
    """An ONNX model, run by ONNX Runtime: on a GPU where that package can, else on the CPU.

    Its first input is the noise, its second the labels, its first output the images. A model whose batch size is fixed
    is run with batches of that size; what is too much of the last one is left out.

    Attributes:
        ort_session: the session of ONNX Runtime.
        input_names: of the model's inputs.
    """

    def __init__(self, path_onnx: str | Path, z_size: int, z_type: str, num_classes: int) -> None:
        """Load the model.

        Args:
            path_onnx: the file.
            z_size: the size of the noise of one sample.
            z_type: the name of a registered noise source.
            num_classes: how many classes labels are drawn from; 0 if the model takes none.

        Raises:
            UsageError: if a number or name cannot be meant, or does not fit the model.
            SourceError: if there is no such file, or it is no model.
            DependencyError: if ONNX Runtime is not installed.
        """
        path = require_file(str(path_onnx), "an ONNX file")
        super().__init__(z_size, z_type, num_classes)
        self.ort_session = open_session(path, str(path_onnx), generator_device("auto"), required=False)
        self.input_names = [one.name for one in self.ort_session.get_inputs()]
        self._run = OnnxNetwork(self.ort_session, f"'{path_onnx}'", {"z_size": z_size, "num_classes": num_classes})

    def forward(self, *args: Tensor) -> Tensor:
        """The images, on the device of the noise.

        Args:
            args: the noise, (n, z_size), and the labels, (n,), if it is conditional.

        Raises:
            UsageError: if there are more or fewer.
        """
        if len(args) != len(self.input_names):
            raise UsageError(
                f"the ONNX model was called with {len(args)} inputs; it takes {len(self.input_names)}: "
                f"{', '.join(self.input_names)}"
            )
        return self._run(*(tensor.detach().cpu() for tensor in args)).to(args[0].device)
