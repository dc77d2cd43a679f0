"""A module as a generator."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from genmetrics.compat.torch_fidelity.noise_model import NoiseModel
from genmetrics.errors import UsageError

__all__ = ["GenerativeModelModuleWrapper"]


class GenerativeModelModuleWrapper(NoiseModel):
    """A module that takes noise, and labels if it is conditional, with what it must be given.

    Attributes:
        module: the module.
    """

    def __init__(
        self,
        module: nn.Module,
        z_size: int,
        z_type: str,
        num_classes: int,
        make_copy: bool = False,
        make_eval: bool = True,
        cuda: bool | None = None,
    ) -> None:
        """Keep the module.

        Args:
            module: gives uint8 images (n, 3, h, w).
            z_size: the size of the noise of one sample.
            z_type: the name of a registered noise source.
            num_classes: how many classes labels are drawn from; 0 if the module takes none.
            make_copy: keep a copy, which later changes of the module do not touch.
            make_eval: put it into evaluation mode.
            cuda: move it to the GPU, or to the CPU; None leaves it where it is.

        Raises:
            UsageError: if this is no module, or a number or name cannot be meant.
        """
        if not isinstance(module, nn.Module):
            raise UsageError(f"the generator is a {type(module).__name__}; expected a torch.nn.Module")
        super().__init__(z_size, z_type, num_classes)
        self.module = copy.deepcopy(module) if make_copy else module
        if make_eval:
            self.module.eval()
        if cuda is not None:
            self.module = self.module.cuda() if cuda else self.module.cpu()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module.forward(*args, **kwargs)
