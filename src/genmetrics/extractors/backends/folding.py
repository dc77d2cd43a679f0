"""Batch normalisation folded into the convolution before it: the same function with half the passes over memory."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ConvNorms", "fold_norms"]


class ConvNorms(nn.Module):
    """A module in which convolutions are followed by nothing but a batch normalisation.

    Attributes:
        conv_norms: the names of each such convolution and of its batch normalisation.
    """

    conv_norms: tuple[tuple[str, str], ...]


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold, in place, the batch normalisations of all ``ConvNorms`` into their convolutions; give the network back.

    The tensors themselves are changed, since a second copy of the weights would be a good part of a run's memory.

    Each channel's scale is computed in float64 and rounded once: features change by float32's rounding alone.

    Args:
        network: in evaluation, float32.
    """
    for module in network.modules():
        if not isinstance(module, ConvNorms):
            continue
        for conv_name, norm_name in module.conv_norms:
            conv, norm = getattr(module, conv_name), getattr(module, norm_name)
            if isinstance(norm, nn.Identity):
                continue
            _fold(conv, norm)
            setattr(module, norm_name, nn.Identity())
    return network


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        if conv.bias is not None:
            shift += conv.bias.double() * scale
        dtype = conv.weight.dtype
        conv.weight.mul_(scale.to(dtype)[:, None, None, None])
        conv.bias = nn.Parameter(shift.to(dtype), requires_grad=False)
