"""Inception weights out of the official TensorFlow graph.

``classify_image_graph_def.pb`` of 2015-12-05 is the network that FID and the Inception Score were defined with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genmetrics.errors import WeightsError
from genmetrics.extractors.graphdef import HINT, OFFICIAL, attributes, float_constants, parse_graph

__all__ = ["inception_state_dict"]


@dataclass(frozen=True)
class _Conv:
    """A convolution with its batch norm: where it is in the graph and in the network.

    Attributes:
        scope: the scope in the graph, such as ``mixed/tower/conv_1``.
        module: the module in the network, such as ``Mixed_5b.branch5x5_2``.
        shape: height, width, channels in, channels out.
    """

    scope: str
    module: str
    shape: tuple[int, int, int, int]


_Layer = tuple[int | tuple[int, int], int]
"""Kernel size (one number if square) and channels out."""


def _chain(scope: str, module: str, channels: int, *layers: _Layer) -> Iterator[_Conv]:
    """Convolutions one after another.

    The graph counts ``conv``, ``conv_1``, ``conv_2``; the network ``x_1``, ``x_2``, ``x_3``, or plain ``x``
    where there is only one.
    """
    for index, (kernel, out) in enumerate(layers):
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        yield _Conv(
            f"{scope}/conv_{index}" if index else f"{scope}/conv",
            f"{module}_{index + 1}" if len(layers) > 1 else module,
            (height, width, channels, out),
        )
        channels = out


def _block_35(scope: str, module: str, channels: int, pooled: int) -> Iterator[_Conv]:
    """A block on the 35 x 35 grid."""
    yield from _chain(scope, f"{module}.branch1x1", channels, (1, 64))
    yield from _chain(f"{scope}/tower", f"{module}.branch5x5", channels, (1, 48), (5, 64))
    yield from _chain(f"{scope}/tower_1", f"{module}.branch3x3dbl", channels, (1, 64), (3, 96), (3, 96))
    yield from _chain(f"{scope}/tower_2", f"{module}.branch_pool", channels, (1, pooled))


def _block_17(scope: str, module: str, width: int) -> Iterator[_Conv]:
    """A block on the 17 x 17 grid; its inner branches are ``width`` wide."""
    row, column = (1, 7), (7, 1)
    long = ((1, width), (column, width), (row, width), (column, width), (row, 192))
    yield from _chain(scope, f"{module}.branch1x1", 768, (1, 192))
    yield from _chain(f"{scope}/tower", f"{module}.branch7x7", 768, (1, width), (row, width), (column, 192))
    yield from _chain(f"{scope}/tower_1", f"{module}.branch7x7dbl", 768, *long)
    yield from _chain(f"{scope}/tower_2", f"{module}.branch_pool", 768, (1, 192))


def _block_8(scope: str, module: str, channels: int) -> Iterator[_Conv]:
    """A block on the 8 x 8 grid; two of its branches end in a fork of two convolutions."""
    row, column = (1, 3, 384, 384), (3, 1, 384, 384)
    tower, dbl = f"{scope}/tower", f"{scope}/tower_1"
    yield from _chain(scope, f"{module}.branch1x1", channels, (1, 320))
    yield from _chain(tower, f"{module}.branch3x3_1", channels, (1, 384))
    yield _Conv(f"{tower}/mixed/conv", f"{module}.branch3x3_2a", row)
    yield _Conv(f"{tower}/mixed/conv_1", f"{module}.branch3x3_2b", column)
    yield from _chain(dbl, f"{module}.branch3x3dbl", channels, (1, 448), (3, 384))
    yield _Conv(f"{dbl}/mixed/conv", f"{module}.branch3x3dbl_3a", row)
    yield _Conv(f"{dbl}/mixed/conv_1", f"{module}.branch3x3dbl_3b", column)
    yield from _chain(f"{scope}/tower_2", f"{module}.branch_pool", channels, (1, 192))


def _inception_convs() -> Iterator[_Conv]:
    """All 94 convolutions of Inception-v3 in the order in which the network declares them."""
    row, column = (1, 7), (7, 1)
    yield _Conv("conv", "Conv2d_1a_3x3", (3, 3, 3, 32))
    yield _Conv("conv_1", "Conv2d_2a_3x3", (3, 3, 32, 32))
    yield _Conv("conv_2", "Conv2d_2b_3x3", (3, 3, 32, 64))
    yield _Conv("conv_3", "Conv2d_3b_1x1", (1, 1, 64, 80))
    yield _Conv("conv_4", "Conv2d_4a_3x3", (3, 3, 80, 192))
    yield from _block_35("mixed", "Mixed_5b", 192, pooled=32)
    yield from _block_35("mixed_1", "Mixed_5c", 256, pooled=64)
    yield from _block_35("mixed_2", "Mixed_5d", 288, pooled=64)
    yield from _chain("mixed_3", "Mixed_6a.branch3x3", 288, (3, 384))
    yield from _chain("mixed_3/tower", "Mixed_6a.branch3x3dbl", 288, (1, 64), (3, 96), (3, 96))
    yield from _block_17("mixed_4", "Mixed_6b", 128)
    yield from _block_17("mixed_5", "Mixed_6c", 160)
    yield from _block_17("mixed_6", "Mixed_6d", 160)
    yield from _block_17("mixed_7", "Mixed_6e", 192)
    yield from _chain("mixed_8/tower", "Mixed_7a.branch3x3", 768, (1, 192), (3, 320))
    reducing = ((1, 192), (row, 192), (column, 192), (3, 192))
    yield from _chain("mixed_8/tower_1", "Mixed_7a.branch7x7x3", 768, *reducing)
    yield from _block_8("mixed_9", "Mixed_7b", 1280)
    yield from _block_8("mixed_10", "Mixed_7c", 2048)


def _unscaled_scopes(graph: Any) -> set[str]:
    """The scopes of batch norms that do not multiply by gamma, whether or not the graph holds one."""
    suffix = "/batchnorm"
    unscaled = set()
    for node in graph.node:
        if node.op == "BatchNormWithGlobalNormalization" and node.name.endswith(suffix):
            scale = attributes(node).get("scale_after_normalization")
            if scale is not None and not scale.b:
                unscaled.add(node.name.removesuffix(suffix))
    return unscaled


def _check(constants: dict[str, NDArray[np.float32]], expected: dict[str, tuple[int, ...]], path: Path) -> None:
    """Refuses a graph in which constants are missing or of another shape."""
    missing = [name for name in expected if name not in constants]
    if missing:
        raise WeightsError(
            f"'{path}' does not look like {OFFICIAL}: {len(missing)} of {len(expected)} float32 constants "
            f"are missing, among them {_quoted(missing[:5])}. {HINT}"
        )
    wrong = [name for name, shape in expected.items() if constants[name].shape != shape]
    if wrong:
        first = wrong[0]
        raise WeightsError(
            f"'{path}' does not look like {OFFICIAL}: constant '{first}' has shape "
            f"{constants[first].shape}, expected {expected[first]}; in all {len(wrong)} of "
            f"{len(expected)} shapes differ. {HINT}"
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def inception_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads the weights of Inception-v3 from the official TensorFlow graph.

    Args:
        path: ``classify_image_graph_def.pb`` of 2015-12-05.

    Returns:
        The 566 tensors of the state dict that pytorch-fid and torch-fidelity share, contiguous, on the CPU:
        convolutions as (out, in, height, width), ``fc.weight`` as (1008, 2048), all float32 but the 94
        ``num_batches_tracked``, which are int64 zeros as nothing was trained here. A batch norm that the
        graph does not scale has a ``bn.weight`` of ones.

    Raises:
        WeightsError: the file is missing, is no GraphDef, or holds another network; the message names what
            is missing or different.
        DependencyError: protobuf is not installed.

    Matches: TensorFlow 2.21.0 running a graph of the same names, ops and shapes, to 1e-4 at every output
    (``tests/conformance/test_tensorflow_goldens.py``).
    """
    graph = parse_graph(path)
    constants = float_constants(graph, path)
    unscaled = _unscaled_scopes(graph)
    # The parsed message holds a second copy of all weights.
    del graph

    convs = list(_inception_convs())
    expected: dict[str, tuple[int, ...]] = {}
    for conv in convs:
        expected[f"{conv.scope}/conv2d_params"] = conv.shape
        for field in ("beta", "gamma", "moving_mean", "moving_variance"):
            name = f"{conv.scope}/batchnorm/{field}"
            if field != "gamma" or (name in constants and conv.scope not in unscaled):
                expected[name] = conv.shape[-1:]
    expected["softmax/weights"] = (2048, 1008)
    expected["softmax/biases"] = (1008,)
    _check(constants, expected, path)

    def tensor(name: str, *axes: int) -> Tensor:
        array = constants[name].transpose(axes) if axes else constants[name]
        return torch.from_numpy(np.ascontiguousarray(array))

    state: dict[str, Tensor] = {}
    for conv in convs:
        norm = f"{conv.scope}/batchnorm"
        scaled = f"{norm}/gamma" in expected
        state[f"{conv.module}.conv.weight"] = tensor(f"{conv.scope}/conv2d_params", 3, 2, 0, 1)
        state[f"{conv.module}.bn.weight"] = tensor(f"{norm}/gamma") if scaled else torch.ones(conv.shape[-1])
        state[f"{conv.module}.bn.bias"] = tensor(f"{norm}/beta")
        state[f"{conv.module}.bn.running_mean"] = tensor(f"{norm}/moving_mean")
        state[f"{conv.module}.bn.running_var"] = tensor(f"{norm}/moving_variance")
        state[f"{conv.module}.bn.num_batches_tracked"] = torch.tensor(0, dtype=torch.int64)
    state["fc.weight"] = tensor("softmax/weights", 1, 0)
    state["fc.bias"] = tensor("softmax/biases")
    return state
