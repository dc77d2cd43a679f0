"""A torch network as an OpenVINO model.

The network is run once on tensors that record each function called on them. OpenVINO has a converter of its own, which
takes a TorchScript trace, deprecated since torch 2.13, or an exported program, which costs more time and memory to make
than all that follows; the few functions that our convolutional networks consist of take little beyond the run itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.extractors.backends.openvino_package import openvino
from genmetrics.extractors.backends.openvino_package import operations as ops

__all__ = ["CannotLowerError", "Head", "Lowered", "lower"]


class CannotLowerError(Exception):
    """The network calls a function for which there is no translation; the text names it."""


Head = Callable[[Tensor], Tensor]


class Lowered(NamedTuple):
    """A translated network.

    Attributes:
        model: its weights are the network's, not copies.
        outputs: what torch gave for the example, for each wanted output.
        heads: of which of the model's outputs each wanted one is made, and by what function in torch; None where it is
            that output.
    """

    model: Any
    outputs: list[Tensor]
    heads: list[tuple[int, Head | None]]


def lower(
    network: nn.Module,
    example: Float32[Tensor, "n c h w"],
    batch_size: int,
    wanted: Sequence[str],
    *,
    heads_in_torch: bool = False,
) -> Lowered:
    """Translate a network for batches of one size.

    Args:
        network: maps (n, c, h, w) float32 and the wanted names to a tensor each, on the CPU and in evaluation.
        example: inputs, of any number, on which the network is run.
        batch_size: of the model, which takes no other.
        wanted: names of outputs.
        heads_in_torch: end the model where the first product with a matrix begins, and leave what follows to torch.

    Raises:
        CannotLowerError: if the network uses what cannot be translated.
    """
    parameter = ops.parameter([batch_size, *example.shape[1:]], np.float32, name="images")
    with torch.no_grad():
        found = network((_Headed if heads_in_torch else _Recorded).of(example, parameter), wanted)
    nodes: list[Any] = []
    heads: list[tuple[int, Head | None]] = []
    for name in wanted:
        node, head = found[name].node, None
        if isinstance(node, _Later):
            node, head = node
            known = next((place for place, other in enumerate(nodes) if other is node), None)
            if known is not None:
                heads.append((known, head))
                continue
        heads.append((len(nodes), head))
        nodes.append(node)
    model = openvino.Model(nodes, [parameter], "network")
    return Lowered(model, [found[name].plain() for name in wanted], heads)


class _Recorded(Tensor):
    """A tensor that knows its node of the model."""

    node: Any

    @classmethod
    def of(cls, values: Tensor, node: Any) -> _Recorded:
        recorded: _Recorded = values.as_subclass(cls)
        recorded.node = node
        return recorded

    def plain(self) -> Tensor:
        """The values alone."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **kwargs)
            if not isinstance(found, Tensor):  # a shape, a device, …
                return found
            # What works in place gives back its argument, which goes on to stand for its old node: this is another.
            found = found.as_subclass(Tensor)
        if cls._is_head(func, args):
            return cls.of(found, _later(func, args, kwargs))
        translate = _TRANSLATIONS.get(func.__name__)
        if translate is None:
            raise CannotLowerError(f"no translation of torch's {func.__name__!r}")
        node = translate(found, *args, **kwargs)
        # OpenVINO does not check all of them itself, and would write past the end of a tensor.
        if tuple(_output(node).get_shape())[1:] != found.shape[1:]:
            raise CannotLowerError(
                f"torch's {func.__name__!r} was translated to another shape than {tuple(found.shape)}"
            )
        return cls.of(found, node)

    @classmethod
    def _is_head(cls, func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """Whether this function is left to torch."""
        return False


class _Later(NamedTuple):
    """A node, and what torch makes of its values."""

    node: Any
    head: Head


class _Headed(_Recorded):
    """One whose products with matrices, and what follows them, are left to torch."""

    @classmethod
    def _is_head(cls, func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        late = any(isinstance(value, _Recorded) and isinstance(value.node, _Later) for value in args)
        return late or func.__name__ in _PRODUCTS


def _later(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Later:
    places = [place for place, value in enumerate(args) if isinstance(value, _Recorded)]
    if len(places) != 1 or any(isinstance(value, _Recorded) for value in kwargs.values()):
        raise CannotLowerError(f"no translation of torch's {func.__name__!r} of several values behind a product")
    before, after = args[: places[0]], args[places[0] + 1 :]
    node = args[places[0]].node
    if not isinstance(node, _Later):
        return _Later(node, lambda values: func(*before, values, *after, **kwargs))
    return _Later(node.node, lambda values: func(*before, node.head(values), *after, **kwargs))


def _node(value: Tensor) -> Any:
    """The node of a tensor; a constant of a weight."""
    if isinstance(value, _Recorded):
        return value.node
    return ops.constant(value.detach().numpy(), shared_memory=value.is_contiguous())


def _output(node: Any) -> Any:
    """A node's only output; some translations give the output itself."""
    return node.output(0) if isinstance(node, openvino.Node) else node


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _conv2d(
    _: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    strides, pads, dilations = _pair(stride), _pair(padding), _pair(dilation)
    if groups == 1:
        out = ops.convolution(_node(x), _node(weight), strides, pads, pads, dilations)
    else:
        grouped = weight.reshape(groups, -1, *weight.shape[1:])
        out = ops.group_convolution(_node(x), _node(grouped), strides, pads, pads, dilations)
    return out if bias is None else ops.add(out, _node(bias[:, None, None]))


def _max_pool2d(
    _: Tensor,
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    pads = _pair(padding)
    rounding = "ceil" if ceil_mode else "floor"
    strides = _pair(kernel_size if stride in (None, []) else stride)
    # The second output is of indices.
    return ops.max_pool(_node(x), strides, _pair(dilation), pads, pads, _pair(kernel_size), rounding).output(0)


def _avg_pool2d(
    _: Tensor,
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    pads = _pair(padding)
    rounding = "ceil" if ceil_mode else "floor"
    strides = _pair(kernel_size if stride in (None, []) else stride)
    return ops.avg_pool(_node(x), strides, pads, pads, _pair(kernel_size), not count_include_pad, rounding)


def _adaptive_avg_pool2d(found: Tensor, x: Tensor, output_size: Any) -> Any:
    if found.shape[2:] != (1, 1):
        raise CannotLowerError(f"no translation of torch's 'adaptive_avg_pool2d' to {tuple(found.shape[2:])}")
    return ops.reduce_mean(_node(x), np.array([2, 3]), keep_dims=True)


def _pad(_: Tensor, x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode != "constant" or value not in (None, 0.0):
        raise CannotLowerError(f"no translation of torch's 'pad' with mode {mode!r} and value {value}")
    begins, ends = [0] * x.ndim, [0] * x.ndim
    for place in range(len(pad) // 2):
        begins[-1 - place], ends[-1 - place] = pad[2 * place], pad[2 * place + 1]
    return ops.pad(_node(x), np.array(begins), np.array(ends), "constant")


def _getitem(_: Tensor, x: Tensor, index: Any) -> Any:
    begins: list[int] = []
    ends: list[int] = []
    axes: list[int] = []
    for axis, part in enumerate(index if isinstance(index, tuple) else (index,)):
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise CannotLowerError(f"no translation of torch's '__getitem__' with {index!r}")
        if part == slice(None):  # the model's batch size is another than the example's
            continue
        begin, end, _step = part.indices(x.shape[axis])
        begins, ends, axes = [*begins, begin], [*ends, end], [*axes, axis]
    return ops.slice(_node(x), np.array(begins), np.array(ends), np.array([1] * len(axes)), np.array(axes))


def _movedim(found: Tensor, x: Tensor, source: int, destination: int) -> Any:
    order = [axis for axis in range(x.ndim) if axis != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return ops.transpose(_node(x), np.array(order))


def _reshaped(found: Tensor, x: Tensor, *_args: Any, **_kwargs: Any) -> Any:
    # 0 keeps the model's own batch size.
    return ops.reshape(_node(x), np.array([0, *found.shape[1:]]), special_zero=True)


def _linear(_: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    out = ops.matmul(_node(x), _node(weight), transpose_a=False, transpose_b=True)
    return out if bias is None else ops.add(out, _node(bias))


def _matmul(_: Tensor, x: Tensor, y: Tensor) -> Any:
    return ops.matmul(_node(x), _node(y), transpose_a=False, transpose_b=False)


def _add(_: Tensor, x: Tensor, y: Tensor) -> Any:
    return ops.add(_node(x), _node(y))


def _cat(_: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    return ops.concat([_node(tensor) for tensor in tensors], dim)


def _relu(_: Tensor, x: Tensor, inplace: bool = False) -> Any:
    return ops.relu(_node(x))


def _relu6(_: Tensor, x: Tensor, inplace: bool = False) -> Any:
    return ops.clamp(_node(x), 0.0, 6.0)


def _same(found: Tensor, x: Tensor, *_args: Any, **_kwargs: Any) -> Any:
    if found.dtype != torch.float32:
        raise CannotLowerError(f"no translation of a conversion to {found.dtype}")
    return _node(x)


#: Functions that multiply by a matrix.
_PRODUCTS = ("linear", "matmul", "__matmul__")
#: By the name of torch's function: from what it gave on the example, and its arguments, to a node.
_TRANSLATIONS: Mapping[str, Callable[..., Any]] = {
    "__add__": _add,
    "add": _add,
    "__getitem__": _getitem,
    "__matmul__": _matmul,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "cat": _cat,
    "conv2d": _conv2d,
    "flatten": _reshaped,
    "float": _same,
    "linear": _linear,
    "matmul": _matmul,
    "_max_pool2d": _max_pool2d,
    "boolean_dispatch": _max_pool2d,
    "fn": _max_pool2d,
    "max_pool2d": _max_pool2d,
    "movedim": _movedim,
    "pad": _pad,
    "relu": _relu,
    "relu6": _relu6,
    "to": _same,
}
