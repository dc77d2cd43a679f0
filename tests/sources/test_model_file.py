from __future__ import annotations

import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from genmetrics.errors import DependencyError, SourceError, UsageError
from genmetrics.sources.base import ImageSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.model_file import TorchScriptSource
from genmetrics.sources.onnx import OnnxSource
from genmetrics.sources.parse import open_source
from genmetrics.types import Shard
from sources.helpers import Collected


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = nn.Parameter(torch.from_numpy(rng.normal(0, 1, (5, 3 * 8 * 6)).astype(np.float32)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ self.weight).view(-1, 3, 8, 6)


class Conditional(Net):
    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return torch.tanh(z @ self.weight).view(-1, 3, 8, 6) * 0.5 + labels.view(-1, 1, 1, 1) / 20


def save_script(path: Path, net: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(net), path)  # type: ignore[no-untyped-call]
    return path


def save_onnx(
    path: Path, conditional: bool = False, batch: int | str = "n", z_type: str = "FLOAT", external: bool = False
) -> Path:
    onnx = pytest.importorskip("onnx", reason="pip install 'genmetrics[dev]'")
    helper, tensor = onnx.helper, onnx.TensorProto
    noise = getattr(tensor, z_type)
    weight = Net().weight.detach().numpy().astype(helper.tensor_dtype_to_np_dtype(noise))
    inputs = [helper.make_tensor_value_info("z", noise, [batch, 5])]
    nodes = [
        helper.make_node("MatMul", ["z", "weight"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["squashed"]),
        helper.make_node("Reshape", ["squashed", "shape"], ["shaped"]),
        helper.make_node("Cast", ["shaped"], ["images"], to=tensor.FLOAT),
    ]
    constants = [
        onnx.numpy_helper.from_array(weight, "weight"),
        onnx.numpy_helper.from_array(np.array([-1, 3, 8, 6], dtype=np.int64), "shape"),
    ]
    last = "images"
    if conditional:
        inputs.append(helper.make_tensor_value_info("labels", tensor.INT64, [batch]))
        constants += [
            onnx.numpy_helper.from_array(np.array([-1, 1, 1, 1], dtype=np.int64), "one"),
            onnx.numpy_helper.from_array(np.float32(0.5), "half"),
            onnx.numpy_helper.from_array(np.float32(20), "twenty"),
        ]
        nodes += [
            helper.make_node("Mul", ["images", "half"], ["dim"]),
            helper.make_node("Cast", ["labels"], ["float_labels"], to=tensor.FLOAT),
            helper.make_node("Reshape", ["float_labels", "one"], ["tall"]),
            helper.make_node("Div", ["tall", "twenty"], ["shift"]),
            helper.make_node("Add", ["dim", "shift"], ["shifted"]),
        ]
        last = "shifted"
    outputs = [helper.make_tensor_value_info(last, tensor.FLOAT, [batch, 3, 8, 6])]
    model = helper.make_model(
        helper.make_graph(nodes, "G", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path, save_as_external_data=external, size_threshold=100, location="G.data" if external else None)
    return path


QUERY = "z_size=5&num_samples=11&value_range=-1,1"


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_files_give_the_images_of_the_module(
    kind: str, classes: int, tmp_path: Path, collect: Callable[..., Collected], recwarn: pytest.WarningsRecorder
) -> None:
    net = Conditional() if classes else Net()
    path = tmp_path / "G.bin"
    made = save_onnx(path, bool(classes)) if kind == "onnx" else save_script(path, net)
    source = open_source(f"{kind}:{made}?{QUERY}&num_classes={classes}&seed=3&batch_size=4")
    expected = collect(GeneratorSource(net, z_size=5, num_samples=11, value_range=(-1, 1), num_classes=classes, seed=3))
    images: dict[int, np.ndarray] = {}
    labels: dict[int, int] = {}
    for shard in range(3):
        got = collect(source, Shard(shard, 3))
        images |= got.images
        labels |= got.labels

    assert type(source) is (OnnxSource if kind == "onnx" else TorchScriptSource)
    assert source.description == f"{kind}:{made}?{QUERY}&num_classes={classes}&seed=3&batch_size=4"
    for index in range(11):
        np.testing.assert_allclose(images[index].astype(int), expected.images[index], atol=1)
    assert labels == expected.labels
    assert not recwarn.list


def make(kind: str, path: Path) -> Path:
    return save_onnx(path) if kind == "onnx" else save_script(path, Net())


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_fingerprints(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "G.bin")

    def digest(query: str) -> str | None:
        found = open_source(f"{kind}:{path}?{query}").fingerprint()
        assert found.kind == kind
        return found.digest

    base = f"{QUERY}&seed=1"
    assert digest(base) == digest(base)
    variants = [
        base,
        base.replace("num_samples=11", "num_samples=12"),
        base.replace("seed=1", "seed=2"),
        f"{base}&z_type=unit",
        f"{base}&rounding=truncate",
        f"{base}&draw=torch-fidelity",
        f"{base}&batch_size=5",
    ]
    found = [digest(variant) for variant in variants]
    assert None not in found
    assert len(set(found)) == len(variants)
    # Without a seed it is the run's, which decides then.
    free = open_source(f"{kind}:{path}?{QUERY}")
    assert free.fingerprint().digest is None
    assert free.seeded(1).fingerprint().digest == digest(base)  # type: ignore[attr-defined]
    before = digest(base)
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 8 if kind == "torchscript" else content + b"\x32\x01x")  # a doc string
    if kind == "onnx":
        assert digest(base) != before


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_file_that_changes_while_it_is_loaded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that runs must be the one that the statistics are kept under."""
    path = make(kind, tmp_path / "G.bin")
    cls = OnnxSource if kind == "onnx" else TorchScriptSource
    load = cls._load

    def meddle(self: object, *arguments: object) -> object:
        found = load(self, *arguments)  # type: ignore[arg-type]
        path.write_bytes(path.read_bytes())
        return found

    monkeypatch.setattr(cls, "_load", meddle)
    with pytest.raises(SourceError) as caught:
        open_source(f"{kind}:{path}?{QUERY}&seed=1")
    assert str(caught.value) == f"'{path}' changed while it was loaded; open it again when it is written"


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_ranges_as_arguments(kind: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = make(kind, tmp_path / "G.bin")
    text = f"{kind}:{path}?z_size=5&num_samples=3&seed=0"

    rounded = collect(open_source(text, value_range=(-1, 1))).images[0]
    truncated = collect(open_source(text, value_range=(-1, 1), rounding="truncate")).images[0]
    assert (rounded.astype(int) - truncated).max() == 1
    assert np.array_equal(rounded, collect(open_source(f"{text}&value_range=-1,1")).images[0])
    with pytest.raises(UsageError, match=r"value_range is given behind '\?' and as an argument; give it once"):
        open_source(f"{text}&value_range=-1,1", value_range=(-1, 1))
    with pytest.raises(SourceError, match=r"sample 0 of the .* is float32, and the range of its values is not known"):
        open_source(text)


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_missing_and_unknown_options(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "G.bin")
    for query, missing in (("", "z_size and num_samples"), ("?z_size=5", "num_samples")):
        with pytest.raises(UsageError) as caught:
            open_source(f"{kind}:{path}{query}")
        assert str(caught.value) == (
            f"'{kind}:{path}{query}': {missing} must be given, such as '{kind}:{path}?z_size=128&num_samples=50000'"
        )
    with pytest.raises(UsageError, match="unknown parameter 'zsize'; did you mean 'z_size'"):
        open_source(f"{kind}:{path}?zsize=5")
    with pytest.raises(SourceError, match="does not exist"):
        open_source(f"{kind}:{tmp_path}/none?{QUERY}")


def test_a_plain_path_says_what_to_type(tmp_path: Path) -> None:
    onnx = save_onnx(tmp_path / "G.onnx")
    scripts = [save_script(tmp_path / name, Net()) for name in ("G.pt", "G.pth", "G.bin")]
    for path, kind in ((onnx, "onnx"), *((script, "torchscript") for script in scripts)):
        for given in (path, str(path)):
            with pytest.raises(SourceError) as caught:
                open_source(given)
            assert str(caught.value) == (
                f"'{path}' is a generator, not images; say what it takes and how many images it is to make: "
                f"'{kind}:{path}?z_size=…&num_samples=…'"
            )
        with pytest.raises(SourceError) as caught:
            open_source(f"{path}?z_size=5")
        assert str(caught.value) == (
            f"'{path}?z_size=5': parameters need a kind in front; give '{kind}:{path}?z_size=5'"
        )


def test_weights_alone_are_no_generator(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "weights.pt")

    with pytest.raises(SourceError, match=r"is no TorchScript archive, .* give `gm.GeneratorSource\(module, z_size=…"):
        open_source(f"torchscript:{tmp_path}/weights.pt?{QUERY}")
    with pytest.raises(SourceError, match="which holds what torch saved"):
        open_source(tmp_path / "weights.pt")


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "G.bin")
    if kind == "torchscript":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, b"class ???" if name.endswith(".py") else content)
    else:
        path.write_bytes(path.read_bytes()[:-400])

    with pytest.raises(SourceError, match="cannot be loaded as"):
        open_source(f"{kind}:{path}?{QUERY}")


@pytest.mark.parametrize("z_type", ["FLOAT16", "DOUBLE"])
def test_other_types_of_onnx_inputs(z_type: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    got = collect(open_source(f"onnx:{save_onnx(tmp_path / 'G.onnx', z_type=z_type)}?{QUERY}&seed=3"))
    expected = collect(GeneratorSource(Net(), z_size=5, num_samples=11, value_range=(-1, 1), seed=3))
    np.testing.assert_allclose(got.images[3].astype(int), expected.images[3], atol=2)


def test_an_onnx_model_of_one_batch_size(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = save_onnx(tmp_path / "G.onnx", conditional=True, batch=4)
    text = f"onnx:{path}?{QUERY}&num_classes=3&seed=3"
    got = collect(open_source(text))
    expected = collect(
        GeneratorSource(Conditional(), z_size=5, num_samples=11, value_range=(-1, 1), num_classes=3, seed=3)
    )

    assert sorted(got.images) == list(range(11))
    for index in range(11):
        np.testing.assert_allclose(got.images[index].astype(int), expected.images[index], atol=1)
    with pytest.raises(UsageError, match="the model runs with batches of 4 only; leave batch_size=8 out"):
        open_source(f"{text}&batch_size=8")


@pytest.mark.parametrize(
    ("conditional", "query", "message"),
    [
        (
            True,
            QUERY,
            "the model has 2 inputs, 'z' (float) (?, 5), 'labels' (int64) (?), expected 1; give num_classes=…",
        ),
        (False, f"{QUERY}&num_classes=3", "the model has 1 inputs, 'z' (float) (?, 5), expected 2; it takes no labels"),
        (False, QUERY.replace("5", "6"), "the model's noise is (?, 5), which z_size=6 does not fit; give z_size=5"),
        (False, QUERY.replace("z_size=5", "z_size=5x1"), "which z_size=5x1 does not fit; give z_size=5"),
    ],
)
def test_onnx_inputs_that_do_not_fit(conditional: bool, query: str, message: str, tmp_path: Path) -> None:
    path = save_onnx(tmp_path / "G.onnx", conditional)
    with pytest.raises(UsageError) as caught:
        open_source(f"onnx:{path}?{query}")
    assert message in str(caught.value)


def test_onnx_weights_in_other_files(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    source = open_source(f"onnx:{save_onnx(tmp_path / 'G.onnx', external=True)}?{QUERY}&seed=1")

    assert source.fingerprint().digest is None
    assert source.notes == (
        "the model keeps weights in other files, whose content is not looked at: it is never cached",
    )
    assert len(collect(source).images) == 11


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_onnx(tmp_path / "G.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match=r"is not installed: pip install 'genmetrics\[onnx\]'"):
        open_source(f"onnx:{path}?{QUERY}")


def test_a_path_with_a_question_mark(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    path = save_script(tmp_path / "what?.pt", Net())
    assert len(collect(open_source(f"torchscript:{path}?{QUERY}&seed=1")).images) == 11
    with pytest.raises(UsageError, match="z_size and num_samples must be given"):
        open_source(f"torchscript:{path}")


MODULE = """
import torch
from torch.utils.data import DataLoader, TensorDataset

class Net(torch.nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.width = width
    def forward(self, z):
        return torch.tanh(z[:, :1, None, None]).expand(-1, 3, 4, self.width)

def net(width: int = 2):
    return Net(width)

def batches(number=3, **other):
    if other:
        raise TypeError(f"unknown {other}")
    return (torch.zeros(2, 3, 4, 4) for _ in range(number))

def forever():
    while True:
        yield torch.zeros(2, 3, 4, 4, dtype=torch.uint8)

def dataset():
    return TensorDataset(torch.zeros(5, 3, 4, 4, dtype=torch.uint8))

def loader():
    return DataLoader(dataset(), batch_size=2)

def path(name):
    return name

def number():
    return [3]

value = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"made_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"python:{name}"


class TestPython:
    def test_a_module(self, module: str, collect: Callable[..., Collected]) -> None:
        text = f"{module}:net?width=6&{QUERY}"
        free = open_source(text)
        seeded: ImageSource = free.seeded(3)  # type: ignore[attr-defined]
        got = collect(seeded)
        own = open_source(f"{text}&seed=3")

        assert (free.kind, free.description, len(free)) == ("python", text, 11)
        assert free.fingerprint().digest is None
        assert got.images[10].shape == (4, 6, 3)
        assert collect(own).images[4].tolist() == got.images[4].tolist()
        assert collect(own.seeded(9)).images[4].tolist() == got.images[4].tolist()  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match="has no seed"):
            collect(free)

    def test_other_things(
        self, module: str, image_folder: Callable[..., Path], collect: Callable[..., Collected]
    ) -> None:
        for text, number in (
            ("batches?value_range=0,1", 6),
            ("batches?number=4&value_range=0,1&num_samples=7", 7),
            ("forever?num_samples=9", 9),
            ("dataset", 5),
            ("loader", 5),
            (f"path?name={image_folder(3, 8, 8, 0)}", 3),
        ):
            source = open_source(f"{module}:{text}")
            got = collect(source)
            assert len(got.images) == number, text
            assert source.seeded(1) is source  # type: ignore[attr-defined]
        assert len(open_source(f"{module}:forever?num_samples=9")) == 9
        assert len(collect(open_source(f"{module}:batches", value_range=(0, 1))).images) == 6

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            (":net", UsageError, "makes a generator: z_size and num_samples must be given, such as 'python:"),
            (":net?z_size=5", UsageError, "makes a generator: num_samples must be given, such as 'python:"),
            (
                ":dataset?z_size=5&num_samples=3",
                UsageError,
                "makes a TensorDataset, and z_size, num_samples are options",
            ),
            (":loader?num_samples=3", UsageError, "makes a DataLoader, and num_samples are options of a generator"),
            (":number", UsageError, "a list with int in it cannot be a source; expected a path"),
            (
                ":batches?widht=3",
                SourceError,
                "calling it with (widht=3) failed: TypeError: unknown {'widht': 3}; its opt",
            ),
            (":nett", SourceError, "has no 'nett'; expected a function or class"),
            (":value", SourceError, "has no function 'value'; expected a function or class"),
            ("", UsageError, "expected 'python:file.py:name' or 'python:package.module:name', as in"),
            ("x:f", SourceError, "install it, or put its folder on PYTHONPATH"),
        ],
    )
    def test_errors(self, text: str, error: type[Exception], message: str, module: str) -> None:
        with pytest.raises(error) as caught:
            open_source(f"{module}{text}")
        assert message in str(caught.value)
        assert str(caught.value).startswith(f"'{module}{text}'")

    def test_a_module_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "fails_at_import.py").write_text("1 / 0")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(
            SourceError, match="importing 'fails_at_import' failed: ZeroDivisionError: division by zero"
        ):
            open_source("python:fails_at_import:f")

    def test_a_file(self, module: str, tmp_path: Path, collect: Callable[..., Collected]) -> None:
        """As an extractor's name may be one; the file is run once, and fails as a module does."""
        path = tmp_path / f"{module.removeprefix('python:')}.py"
        assert len(collect(open_source(f"python:{path}:batches?number=4&value_range=0,1&num_samples=7")).images) == 7
        with pytest.raises(SourceError, match=r"has no 'nett'; expected a function or class"):
            open_source(f"python:{path}:nett")
        with pytest.raises(SourceError, match=r"there is no file '/nowhere/at_all\.py'$"):
            open_source("python:/nowhere/at_all.py:make")
        path.write_text("1 / 0")
        with pytest.raises(SourceError, match=r"failed: ZeroDivisionError: division by zero$"):
            open_source(f"python:{path}:make")

    def test_the_working_folder_is_not_searched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "lies_here.py").write_text(MODULE)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.curdir)])
        with pytest.raises(
            SourceError, match="there is no module 'lies_here'; install it, or put its folder on PYTHON"
        ):
            open_source("python:lies_here:dataset")
