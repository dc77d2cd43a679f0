"""The constants of a TensorFlow graph, without TensorFlow.

A serialised ``GraphDef`` is a list of nodes, the weights among them as constants. Only the few fields that lead
to the constants are declared here; protobuf skips the rest.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genmetrics.errors import DependencyError, WeightsError

__all__ = ["HINT", "OFFICIAL", "attributes", "float_constants", "parse_graph", "read_constants"]

OFFICIAL = "classify_image_graph_def.pb"
HINT = f"Give the {OFFICIAL} of inception-2015-12-05.tgz."
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


def parse_graph(path: Path) -> Any:
    """The ``GraphDef`` message in a file.

    Raises:
        WeightsError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise WeightsError(f"'{path}' is not a file; expected a serialised TensorFlow GraphDef. {HINT}")
    graph = _graph_def_class()()
    from google.protobuf.message import DecodeError

    problem = ""
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError as error:
        problem = str(error)
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read: {error}. {HINT}") from error
    # Bytes that happen to be well-formed fields parse without an error, and so does an empty file.
    if not problem and not graph.node:
        problem = "it holds no node"
    if problem:
        raise WeightsError(
            f"'{path}' is not a whole serialised TensorFlow GraphDef ({problem}). "
            f"{HINT} It is a binary file; unpack it if it is compressed."
        )
    return graph


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a parsed node, by name."""
    return {attribute.key: attribute.value for attribute in node.attr}


def _float_array(name: str, tensor: Any, path: Path) -> NDArray[np.float32]:
    """The values of a float32 ``TensorProto``."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise WeightsError(f"constant '{name}' in '{path}' has no definite shape: {shape}. {HINT}")
    count = math.prod(shape)
    if tensor.tensor_content:
        if len(tensor.tensor_content) != 4 * count:
            raise WeightsError(
                f"constant '{name}' in '{path}' holds {len(tensor.tensor_content)} bytes; "
                f"expected {4 * count} for float32 of shape {shape}. The file is damaged. {HINT}"
            )
        # TensorFlow writes the memory of the machine that saved the graph, in practice little-endian.
        return np.frombuffer(tensor.tensor_content, "<f4").astype(np.float32).reshape(shape)
    stored = np.array(tensor.float_val, np.float32)
    if stored.size > count:
        raise WeightsError(
            f"constant '{name}' in '{path}' holds {stored.size} values; "
            f"expected {count} at most for shape {shape}. The file is damaged. {HINT}"
        )
    # By TensorFlow's convention the last value stored stands for all that follow, and zero for none.
    last = stored[-1] if stored.size else np.float32(0)
    values = np.full(count, last, np.float32)
    values[: stored.size] = stored
    return values.reshape(shape)


def float_constants(graph: Any, path: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 constants of a parsed graph, by node name; ``path`` is for messages."""
    constants = {}
    for node in graph.node:
        if node.op == "Const":
            value = attributes(node).get("value")
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
    return float_constants(parse_graph(path), path)
