"""Batch normalisation folded into convolutions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from genmetrics.extractors.backends.folding import ConvNorms, fold_norms
from genmetrics.extractors.efficientnet_lite import EfficientNetLite0
from genmetrics.extractors.inception_v3 import InceptionV3


class _Pair(ConvNorms):
    conv_norms = (("conv", "norm"),)

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, bias=bias)
        self.norm = nn.BatchNorm2d(5, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(self.conv(x))
        return out


def _stirred(module: nn.Module) -> nn.Module:
    """With weights and statistics that are not the neutral ones."""
    torch.manual_seed(0)
    for norm in (found for found in module.modules() if isinstance(found, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.2, 3)
        norm.bias.data.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.1, 9)
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize("bias", [False, True])
def test_same_function(bias):
    module = _stirred(_Pair(bias)).double()
    images = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    expected = module(images)
    folded = fold_norms(module)
    assert isinstance(folded.norm, nn.Identity)
    assert torch.allclose(folded(images), expected, rtol=1e-12, atol=1e-12)


def test_epsilon_and_offset_count():
    """The negative control: without either the same tolerance fails."""
    images = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    for spoil in (lambda norm: setattr(norm, "eps", 0.0), lambda norm: norm.running_mean.zero_()):
        module = _stirred(_Pair(False)).double()
        expected = module(images)
        spoil(module.norm)
        assert not torch.allclose(fold_norms(module)(images), expected, rtol=1e-6, atol=1e-6)


def test_twice_is_once():
    module = fold_norms(_stirred(_Pair(False)))
    images = torch.randn(1, 3, 9, 9)
    expected = module(images)
    assert torch.equal(fold_norms(module)(images), expected)


@pytest.mark.parametrize(
    ("network", "side", "wanted"),
    [(InceptionV3, 299, ("64", "192", "768", "2048")), (EfficientNetLite0, 224, ("1280", "logits"))],
)
def test_no_norm_of_a_whole_network_is_left(network, side, wanted):
    published = _stirred(network())
    folded = fold_norms(copy.deepcopy(published))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = torch.randn(1, 3, side, side)
    expected, found = published(images, wanted), folded(images, wanted)
    for name in wanted:
        assert float((found[name] - expected[name]).norm() / expected[name].norm()) < 1e-5
