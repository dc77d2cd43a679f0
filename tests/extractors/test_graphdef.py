"""Weights out of a TensorFlow GraphDef; the graph was written by TensorFlow (tests/goldens/tensorflow)."""

from __future__ import annotations

import builtins
import lzma
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import DependencyError, WeightsError
from genmetrics.extractors.graphdef import read_constants
from genmetrics.extractors.inception_graph import inception_state_dict
from genmetrics.extractors.inception_v3 import InceptionV3

GOLDENS = Path(__file__).parents[1] / "goldens" / "tensorflow"
PRIMES = (499, 503, 509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601)

# Serialised by TensorFlow 2.21.0: float32 constants `repeated` (make_tensor_proto(0.25, shape=[2, 3]), stored
# as one value), `listed` [[1.5, -2.0]], `scalar` 128, an int32 constant `axis`, and a Placeholder `x`.
TENSORFLOW_BYTES = bytes.fromhex(
    "0a3d0a0872657065617465641205436f6e73742a0b0a056474797065120230012a1d0a0576616c7565121442120801120812"
    "020802120208032a040000803e0a3f0a066c69737465641205436f6e73742a0b0a056474797065120230012a210a0576616c"
    "75651218421608011208120208011202080222080000c03f000000c00a330a067363616c61721205436f6e73742a0b0a0564"
    "74797065120230012a150a0576616c7565120c420a080112002a04000000430a2e0a04617869731205436f6e73742a0b0a05"
    "6474797065120230032a120a0576616c756512094207080312003a01030a100a0178120b506c616365686f6c646572"
)


def golden_weight(name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """What make_goldens.py put into the node of that name."""
    seed = zlib.crc32(name.encode())
    random = np.random.RandomState(seed)
    prime = 1013 if kind == "fc" else PRIMES[seed % len(PRIMES)]
    if kind in ("conv", "fc"):
        vector = random.randn(prime)
        vector -= vector.mean()
        vector *= np.sqrt((2.0 if kind == "conv" else 1.0) / np.prod(shape[:-1]))
    elif kind == "positive":
        vector = random.uniform(0.5, 1.5, prime)
    else:
        vector = 0.1 * random.randn(prime)
    return np.resize(vector.astype(np.float32), shape)


def field(number: int, payload: bytes | int) -> bytes:
    """One field in protobuf's wire format: a number, or a length and bytes."""

    def varint(value: int) -> bytes:
        value &= 2**64 - 1
        out = bytearray()
        while value >= 128:
            out.append(value % 128 + 128)
            value //= 128
        return bytes([*out, value])

    if isinstance(payload, int):
        return varint(number * 8) + varint(payload)
    return varint(number * 8 + 2) + varint(len(payload)) + payload


def const(name: str, shape: tuple[int, ...], *values: bytes, dtype: int = 1) -> bytes:
    """A serialised graph of one Const node; ``values`` are the fields that hold its values."""
    dims = b"".join(field(2, field(1, size)) for size in shape)
    tensor = field(1, dtype) + field(2, dims) + b"".join(values)
    attribute = field(1, b"value") + field(2, field(8, tensor))
    return field(1, field(1, name.encode()) + field(2, b"Const") + field(5, attribute))


def content(*values: float) -> bytes:
    return field(4, np.array(values, "<f4").tobytes())


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def graph_bytes() -> bytes:
    return lzma.decompress((GOLDENS / "classify_image_graph_def.pb.xz").read_bytes())


@pytest.fixture(scope="module")
def graph_path(graph_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("graphdef") / "classify_image_graph_def.pb", graph_bytes)


@pytest.fixture(scope="module")
def state(graph_path: Path) -> dict[str, torch.Tensor]:
    return inception_state_dict(graph_path)


class TestReadConstants:
    def test_all_float_constants_of_the_graph(self, graph_path):
        constants = read_constants(graph_path)
        # 94 convolutions of five arrays, two arrays of the classifier, the scalars of the normalisation;
        # not the int32 sizes and axes.
        assert len(constants) == 94 * 5 + 2 + 2
        assert all(array.dtype == np.float32 for array in constants.values())
        assert constants["Sub/y"].shape == () and constants["Sub/y"] == 128
        assert constants["Mul/y"] == 1 / 128
        name = "mixed_10/tower_1/conv_1/conv2d_params"
        np.testing.assert_array_equal(constants[name], golden_weight(name, (3, 3, 448, 384), "conv"))
        np.testing.assert_array_equal(
            constants["softmax/weights"], golden_weight("softmax/weights", (2048, 1008), "fc")
        )

    def test_bytes_written_by_tensorflow(self, tmp_path):
        constants = read_constants(write(tmp_path / "graph.pb", TENSORFLOW_BYTES))
        assert sorted(constants) == ["listed", "repeated", "scalar"]
        np.testing.assert_array_equal(constants["repeated"], np.full((2, 3), 0.25, np.float32))
        np.testing.assert_array_equal(constants["listed"], np.array([[1.5, -2.0]], np.float32))
        assert constants["scalar"].shape == () and constants["scalar"] == 128

    @pytest.mark.parametrize(
        ("shape", "values", "expected"),
        [
            ((2, 2), [content(1, 2, 3, 4)], [[1, 2], [3, 4]]),
            ((3,), [field(5, np.array([1, 2, 3], "<f4").tobytes())], [1, 2, 3]),
            # Not packed, as writers of the first protocol version did: fixed-size fields one by one.
            ((2,), [b"\x2d" + np.float32(v).tobytes() for v in (5, 6)], [5, 6]),
            ((4,), [field(5, np.array([1, 2], "<f4").tobytes())], [1, 2, 2, 2]),
            ((2,), [], [0, 0]),
            ((0,), [], []),
            ((), [content(7)], 7),
        ],
    )
    def test_ways_of_storing_values(self, tmp_path, shape, values, expected):
        constants = read_constants(write(tmp_path / "graph.pb", const("x", shape, *values)))
        assert constants["x"].dtype == np.float32
        assert constants["x"].shape == shape
        np.testing.assert_array_equal(constants["x"], np.array(expected, np.float32))

    def test_the_arrays_can_be_written_to(self, tmp_path):
        constants = read_constants(write(tmp_path / "graph.pb", const("x", (2,), content(1, 2))))
        constants["x"] += 1
        np.testing.assert_array_equal(constants["x"], [2, 3])

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (const("x", (3,), content(1, 2)), "holds 8 bytes; expected 12 for float32 of shape (3,)"),
            (
                const("x", (1,), field(5, np.array([1, 2], "<f4").tobytes())),
                "holds 2 values; expected 1 at most for shape (1,)",
            ),
            (const("x", (-1, 4), content(1)), "has no definite shape: (-1, 4)"),
        ],
    )
    def test_a_constant_that_does_not_fill_its_shape(self, tmp_path, data, expected):
        with pytest.raises(WeightsError) as caught:
            read_constants(write(tmp_path / "graph.pb", data))
        assert expected in str(caught.value)
        assert "constant 'x'" in str(caught.value)

    def test_missing_file(self, tmp_path):
        path = tmp_path / "classify_image_graph_def.pb"
        with pytest.raises(WeightsError) as caught:
            read_constants(path)
        assert str(caught.value) == (
            f"'{path}' is not a file; expected a serialised TensorFlow GraphDef. "
            "Give the classify_image_graph_def.pb of inception-2015-12-05.tgz."
        )

    def test_a_folder(self, tmp_path):
        with pytest.raises(WeightsError, match="is not a file"):
            read_constants(tmp_path)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"not a graph at all",
            (GOLDENS / "classify_image_graph_def.pb.xz").read_bytes(),
            TENSORFLOW_BYTES[:-5],
            b"PK\x03\x04" + bytes(range(256)),
        ],
        ids=["empty", "text", "still compressed", "truncated", "zip"],
    )
    def test_other_content(self, tmp_path, data):
        path = write(tmp_path / "graph.pb", data)
        with pytest.raises(WeightsError) as caught:
            read_constants(path)
        message = str(caught.value)
        assert message.startswith(f"'{path}' is not a whole serialised TensorFlow GraphDef (")
        assert message.endswith("It is a binary file; unpack it if it is compressed.")

    def test_without_protobuf(self, tmp_path, monkeypatch):
        real_import = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name.startswith("google"):
                raise ImportError("No module named 'google'")
            return real_import(name, *args, **kwargs)

        path = write(tmp_path / "graph.pb", TENSORFLOW_BYTES)
        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(DependencyError, match="pip install protobuf"):
            read_constants(path)

    def test_importing_the_module_does_not_import_protobuf(self):
        code = "import sys, genmetrics.extractors.graphdef; sys.exit('google.protobuf' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestInceptionStateDict:
    def test_keys_shapes_and_types_are_those_of_the_network(self, state):
        with torch.device("meta"):
            network = InceptionV3().state_dict()
        assert len(state) == 566
        assert list(state) == list(network)
        for key, tensor in state.items():
            assert tensor.shape == network[key].shape, key
            assert tensor.dtype == network[key].dtype, key
            assert tensor.is_contiguous(), key

    @pytest.mark.parametrize(
        ("module", "scope", "shape"),
        [
            ("Conv2d_1a_3x3", "conv", (3, 3, 3, 32)),
            ("Conv2d_4a_3x3", "conv_4", (3, 3, 80, 192)),
            ("Mixed_5b.branch5x5_2", "mixed/tower/conv_1", (5, 5, 48, 64)),
            ("Mixed_5d.branch3x3dbl_3", "mixed_2/tower_1/conv_2", (3, 3, 96, 96)),
            ("Mixed_6a.branch3x3", "mixed_3/conv", (3, 3, 288, 384)),
            ("Mixed_6b.branch7x7_2", "mixed_4/tower/conv_1", (1, 7, 128, 128)),
            ("Mixed_6c.branch7x7dbl_4", "mixed_5/tower_1/conv_3", (7, 1, 160, 160)),
            ("Mixed_6e.branch_pool", "mixed_7/tower_2/conv", (1, 1, 768, 192)),
            ("Mixed_7a.branch7x7x3_3", "mixed_8/tower_1/conv_2", (7, 1, 192, 192)),
            ("Mixed_7b.branch3x3_2b", "mixed_9/tower/mixed/conv_1", (3, 1, 384, 384)),
            ("Mixed_7c.branch1x1", "mixed_10/conv", (1, 1, 2048, 320)),
            ("Mixed_7c.branch3x3dbl_3a", "mixed_10/tower_1/mixed/conv", (1, 3, 384, 384)),
        ],
    )
    def test_values_of_a_convolution(self, state, module, scope, shape):
        params = golden_weight(f"{scope}/conv2d_params", shape, "conv")
        weight = state[f"{module}.conv.weight"].numpy()
        assert weight.shape == (shape[3], shape[2], shape[0], shape[1])
        for row in range(shape[0]):
            for column in range(shape[1]):
                np.testing.assert_array_equal(weight[:, :, row, column], params[row, column].T)
        for key, name, kind in [
            ("weight", "gamma", "positive"),
            ("bias", "beta", "around 0"),
            ("running_mean", "moving_mean", "around 0"),
            ("running_var", "moving_variance", "positive"),
        ]:
            expected = golden_weight(f"{scope}/batchnorm/{name}", shape[3:], kind)
            np.testing.assert_array_equal(state[f"{module}.bn.{key}"].numpy(), expected)
        assert state[f"{module}.bn.num_batches_tracked"].item() == 0

    def test_values_of_the_classifier(self, state):
        weights = golden_weight("softmax/weights", (2048, 1008), "fc")
        np.testing.assert_array_equal(state["fc.weight"].numpy(), weights.T)
        np.testing.assert_array_equal(state["fc.bias"].numpy(), golden_weight("softmax/biases", (1008,), "around 0"))

    def test_no_two_tensors_hold_the_same(self, state):
        weights = [tensor for key, tensor in state.items() if "num_batches" not in key]
        assert len({tensor.numpy().tobytes() for tensor in weights}) == len(weights)

    def test_a_graph_without_a_gamma(self, tmp_path, graph_bytes, state):
        name = b"conv_1/batchnorm/gamma"
        # With the length before it, as other scopes end in the same words.
        other = field(1, name)
        assert graph_bytes.count(other) == 1
        changed = graph_bytes.replace(other, other.replace(b"gamma", b"gammX"))
        found = inception_state_dict(write(tmp_path / "graph.pb", changed))
        assert torch.equal(found["Conv2d_2a_3x3.bn.weight"], torch.ones(32))
        assert torch.equal(found["Conv2d_2b_3x3.bn.weight"], state["Conv2d_2b_3x3.bn.weight"])

    def test_a_gamma_that_the_graph_does_not_use(self, tmp_path, graph_bytes, state):
        scaled = field(1, b"scale_after_normalization") + field(2, field(5, 1))
        assert graph_bytes.count(scaled) == 94
        unscaled = field(1, b"scale_after_normalization") + field(2, field(5, 0))
        found = inception_state_dict(write(tmp_path / "graph.pb", graph_bytes.replace(scaled, unscaled)))
        for key, tensor in found.items():
            expected = torch.ones_like(tensor) if key.endswith("bn.weight") else state[key]
            assert torch.equal(tensor, expected), key

    def test_another_network(self, tmp_path):
        path = write(tmp_path / "graph.pb", TENSORFLOW_BYTES)
        with pytest.raises(WeightsError) as caught:
            inception_state_dict(path)
        assert str(caught.value) == (
            f"'{path}' does not look like classify_image_graph_def.pb: "
            "378 of 378 float32 constants are missing, among them 'conv/conv2d_params', "
            "'conv/batchnorm/beta', 'conv/batchnorm/moving_mean', 'conv/batchnorm/moving_variance', "
            "'conv_1/conv2d_params'. "
            "Give the classify_image_graph_def.pb of inception-2015-12-05.tgz."
        )

    def test_one_missing_constant(self, tmp_path, graph_bytes):
        name = field(1, b"softmax/biases")
        assert graph_bytes.count(name) == 1
        changed = graph_bytes.replace(name, field(1, b"softmax/biasXs"))
        with pytest.raises(WeightsError, match=r"1 of 472 .* among them 'softmax/biases'"):
            inception_state_dict(write(tmp_path / "graph.pb", changed))

    def test_a_wrong_shape(self, tmp_path, graph_bytes):
        # Serialised messages of one type can be joined; the later node of a name is the one read.
        path = write(tmp_path / "graph.pb", graph_bytes + const("softmax/biases", (2,), content(1, 2)))
        with pytest.raises(WeightsError) as caught:
            inception_state_dict(path)
        assert str(caught.value) == (
            f"'{path}' does not look like classify_image_graph_def.pb: "
            "constant 'softmax/biases' has shape (2,), expected (1008,); in all 1 of 472 shapes differ. "
            "Give the classify_image_graph_def.pb of inception-2015-12-05.tgz."
        )
