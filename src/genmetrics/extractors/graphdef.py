"""Inception weights out of the official TensorFlow graph, without TensorFlow.

``classify_image_graph_def.pb`` of 2015-12-05 is the network that FID and the Inception Score were defined
with. It is a serialised ``GraphDef``: a list of nodes, the weights among them as constants. Only the few
fields that lead to the constants are declared here; protobuf skips the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genmetrics.errors import DependencyError, WeightsError

__all__ = ["inception_state_dict", "read_constants"]

_OFFICIAL = "classify_image_graph_def.pb"
_HINT = f"Give the {_OFFICIAL} of inception-2015-12-05.tgz."
_DT_FLOAT = 1

# The part of TensorFlow's graph.proto, node_def.proto, attr_value.proto, tensor.proto and
# tensor_shape.proto that is read: message -> field -> (number, type). `[]` marks a repeated field.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "Dim[]"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float[]"),
    },
    "AttrValue": {"b": (5, "bool"), "tensor": (8, "TensorProto")},
    # `attr` is a map; on the wire that is a repeated message of a key and a value, and is read as one.
    "Attr": {"key": (1, "string"), "value": (2, "AttrValue")},
    "NodeDef": {"name": (1, "string"), "op": (2, "string"), "attr": (5, "Attr[]")},
    "GraphDef": {"node": (1, "NodeDef[]")},
}


def _graph_def_class() -> Any:
    """The message class ``GraphDef``, made at run time in a pool of its own.

    A pool of its own, because TensorFlow, where it is loaded too, declares messages of the same names.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise DependencyError(
            f"reading a TensorFlow graph needs the package 'protobuf', which cannot be imported ({error}). "
            "Type: pip install protobuf"
        ) from error
    field_type = descriptor_pb2.FieldDescriptorProto
    package = "genmetrics.graphdef"
    file = descriptor_pb2.FileDescriptorProto(name="genmetrics_graphdef.proto", package=package, syntax="proto3")
    for message_name, fields in _SCHEMA.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind) in fields.items():
            base = kind.removesuffix("[]")
            label = field_type.LABEL_REPEATED if base != kind else field_type.LABEL_OPTIONAL
            field = message.field.add(name=name, number=number, label=label)
            if base in _SCHEMA:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{package}.{base}"
            else:
                field.type = getattr(field_type, f"TYPE_{base.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.GraphDef"))


def _parse(path: Path) -> Any:
    """The ``GraphDef`` message in a file.

    Raises:
        WeightsError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise WeightsError(f"'{path}' is not a file; expected a serialised TensorFlow GraphDef. {_HINT}")
    graph = _graph_def_class()()
    from google.protobuf.message import DecodeError

    problem = ""
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError as error:
        problem = str(error)
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read: {error}. {_HINT}") from error
    # Bytes that happen to be well-formed fields parse without an error, and so does an empty file.
    if not problem and not graph.node:
        problem = "it holds no node"
    if problem:
        raise WeightsError(
            f"'{path}' is not a whole serialised TensorFlow GraphDef ({problem}). "
            f"{_HINT} It is a binary file; unpack it if it is compressed."
        )
    return graph


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.key: attribute.value for attribute in node.attr}


def _float_array(name: str, tensor: Any, path: Path) -> NDArray[np.float32]:
    """The values of a float32 ``TensorProto``."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise WeightsError(f"constant '{name}' in '{path}' has no definite shape: {shape}. {_HINT}")
    count = math.prod(shape)
    if tensor.tensor_content:
        if len(tensor.tensor_content) != 4 * count:
            raise WeightsError(
                f"constant '{name}' in '{path}' holds {len(tensor.tensor_content)} bytes; "
                f"expected {4 * count} for float32 of shape {shape}. The file is damaged. {_HINT}"
            )
        # TensorFlow writes the memory of the machine that saved the graph, in practice little-endian.
        return np.frombuffer(tensor.tensor_content, "<f4").astype(np.float32).reshape(shape)
    stored = np.array(tensor.float_val, np.float32)
    if stored.size > count:
        raise WeightsError(
            f"constant '{name}' in '{path}' holds {stored.size} values; "
            f"expected {count} at most for shape {shape}. The file is damaged. {_HINT}"
        )
    # By TensorFlow's convention the last value stored stands for all that follow, and zero for none.
    last = stored[-1] if stored.size else np.float32(0)
    values = np.full(count, last, np.float32)
    values[: stored.size] = stored
    return values.reshape(shape)


def _constants(graph: Any, path: Path) -> dict[str, NDArray[np.float32]]:
    constants = {}
    for node in graph.node:
        if node.op == "Const":
            value = _attributes(node).get("value")
            if value is not None and value.tensor.dtype == _DT_FLOAT:
                constants[node.name] = _float_array(node.name, value.tensor, path)
    return constants


def read_constants(path: Path) -> dict[str, NDArray[np.float32]]:
    """Reads all float32 constants of a TensorFlow graph.

    Args:
        path: a serialised (binary) ``GraphDef``.

    Returns:
        Node name -> array, in the graph's own layout (convolutions are height, width, in, out). Constants
        of other types, such as sizes and axes, are left out.

    Raises:
        WeightsError: the file is missing, is no GraphDef, or a constant does not fill its shape.
        DependencyError: protobuf is not installed.
    """
    return _constants(_parse(path), path)


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
            scale = _attributes(node).get("scale_after_normalization")
            if scale is not None and not scale.b:
                unscaled.add(node.name.removesuffix(suffix))
    return unscaled


def _check(constants: dict[str, NDArray[np.float32]], expected: dict[str, tuple[int, ...]], path: Path) -> None:
    """Refuses a graph in which constants are missing or of another shape."""
    missing = [name for name in expected if name not in constants]
    if missing:
        raise WeightsError(
            f"'{path}' does not look like {_OFFICIAL}: {len(missing)} of {len(expected)} float32 constants "
            f"are missing, among them {_quoted(missing[:5])}. {_HINT}"
        )
    wrong = [name for name, shape in expected.items() if constants[name].shape != shape]
    if wrong:
        first = wrong[0]
        raise WeightsError(
            f"'{path}' does not look like {_OFFICIAL}: constant '{first}' has shape "
            f"{constants[first].shape}, expected {expected[first]}; in all {len(wrong)} of "
            f"{len(expected)} shapes differ. {_HINT}"
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
    graph = _parse(path)
    constants = _constants(graph, path)
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
