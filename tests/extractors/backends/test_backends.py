"""Each backend gives the features of the published network."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.errors import DependencyError, DeviceError, StatisticsError, UsageError, WeightsError
from genmetrics.extractors.backends import choose, lowering, openvino_backend
from genmetrics.extractors.backends.lowering import CannotLowerError, lower
from genmetrics.extractors.base import Extractor, load_extractor

_CI = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS")
CPU = torch.device("cpu")
WANTED = {
    "inception-v3.tf2015": ("64", "192", "768", "2048", "2023", "logits", "logits_unbiased"),
    "efficientnet-lite0.in1k": ("1280", "logits"),
}


def _loaded(name: str, weights: Path, precision: str, backend: str) -> Extractor:
    extractor = load_extractor(name, weights if name.startswith("inception") else None)
    extractor.to(CPU, precision, backend)  # type: ignore[arg-type]
    return extractor


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(3)
    coarse = torch.rand(6, 3, 9, 9)
    return {
        name: torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") * 2 - 1
        for name, side in (("inception-v3.tf2015", 299), ("efficientnet-lite0.in1k", 224))
    }


@pytest.fixture(scope="module")
def published(inputs, inception_weights):
    return {
        name: _loaded(name, inception_weights, "exact", "reference").run(inputs[name], wanted)
        for name, wanted in WANTED.items()
    }


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_exact_features(name, backend, inputs, published, inception_weights):
    found = _loaded(name, inception_weights, "exact", backend).run(inputs[name], WANTED[name])
    errors = {output: _apart(found[output], published[name][output]) for output in WANTED[name]}
    print(name, backend, errors)
    assert tuple(found) == WANTED[name]
    assert all(value.dtype == torch.float32 for value in found.values())
    assert max(errors.values()) < 5e-6


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("backend", ["reference", "torch", "openvino"])
def test_bf16_is_near_and_not_exact(name, backend, inputs, published, inception_weights):
    if backend == "openvino" and not openvino_backend.has_bf16():
        pytest.skip("this processor has no bfloat16 instructions; run on one that has (AVX-512 BF16, AMX)")
    wanted = WANTED[name][:1] if backend == "reference" else WANTED[name]
    found = _loaded(name, inception_weights, "bf16", backend).run(inputs[name], wanted)
    errors = {output: _apart(found[output], published[name][output]) for output in wanted}
    print(name, backend, errors)
    assert max(errors.values()) < 0.2
    assert max(errors.values()) > 1e-4


@pytest.mark.parametrize("name", WANTED)
def test_bf16_is_of_convolutions_alone(name, inputs, inception_weights):
    """What is behind the pooling is float32's, and so are the means: bfloat16 would have eight bits of them."""
    if not openvino_backend.has_bf16():
        pytest.skip("this processor has no bfloat16 instructions; run on one that has (AVX-512 BF16, AMX)")
    extractor = _loaded(name, inception_weights, "bf16", "openvino")
    pooled = "2048" if name.startswith("inception") else "1280"
    found = extractor.run(inputs[name], (pooled, "logits"))
    network = extractor.network
    layer = network.fc if name.startswith("inception") else network._fc
    expected = torch.nn.functional.linear(found[pooled].double(), layer.weight.double(), layer.bias.double())
    print(name, _apart(found["logits"], expected.float()))
    assert _apart(found["logits"], expected.float()) < 1e-5
    assert not torch.equal(found[pooled], found[pooled].bfloat16().float())


@pytest.mark.parametrize("precision", ["exact", "bf16"])
def test_openvino_features_do_not_depend_on_the_batch(precision, inputs, inception_weights):
    """Not in the last bit: neither on the other images nor on the place among them, nor on padding."""
    if precision == "bf16" and not openvino_backend.has_bf16():
        pytest.skip("this processor has no bfloat16 instructions; run on one that has (AVX-512 BF16, AMX)")
    extractor = _loaded("inception-v3.tf2015", inception_weights, precision, "openvino")
    images = inputs["inception-v3.tf2015"]
    together = extractor.run(images, ("2048", "logits"))
    for part in ([0], [5, 1], [4, 3, 2, 1, 0]):
        alone = extractor.run(images[part], ("2048", "logits"))
        for output in together:
            assert torch.equal(alone[output], together[output][part])


def test_batches_started_before_the_first_is_asked_for(inputs, inception_weights):
    extractor = _loaded("inception-v3.tf2015", inception_weights, "exact", "openvino")
    images = inputs["inception-v3.tf2015"]
    pending = [extractor.start(images[start : start + 3], ("2048",)) for start in (0, 3)]
    expected = extractor.run(images, ("2048",))["2048"]
    assert torch.equal(torch.cat([take()["2048"] for take in pending]), expected)
    backwards = [extractor.start(images[start : start + 3], ("2048",)) for start in (0, 3)]
    assert torch.equal(torch.cat([take()["2048"] for take in backwards[::-1]]), expected[[3, 4, 5, 0, 1, 2]])


def test_inside_inference_mode(inputs, inception_weights):
    """As a sampling loop calls it; its own features can be used there and outside."""
    extractor = _loaded("inception-v3.tf2015", inception_weights, "exact", "openvino")
    images = inputs["inception-v3.tf2015"][:3]
    with torch.inference_mode():
        inside = extractor.run(images, ("2048",))["2048"]
    assert torch.equal(inside, extractor.run(images, ("2048",))["2048"])


def test_an_extractor_goes_when_nobody_holds_it(inputs, inception_weights):
    """Not when the collector finds it: it is hundreds of megabytes."""
    extractor = _loaded("inception-v3.tf2015", inception_weights, "exact", "openvino")
    extractor.run(inputs["inception-v3.tf2015"][:1], ("64",))
    gone = weakref.ref(extractor)
    gc.disable()
    try:
        del extractor
        assert gone() is None
    finally:
        gc.enable()


def test_an_empty_batch(inputs, inception_weights):
    extractor = _loaded("inception-v3.tf2015", inception_weights, "exact", "openvino")
    assert extractor.run(inputs["inception-v3.tf2015"][:0], ("2048",))["2048"].shape == (0, 2048)


def test_the_network_is_compiled_once_for_outputs_that_cost_nothing(inputs, inception_weights):
    extractor = _loaded("inception-v3.tf2015", inception_weights, "exact", "openvino")
    images = inputs["inception-v3.tf2015"][:1]
    first = extractor.run(images, ("2048",))
    second = extractor.run(images, ("logits_unbiased", "2048"))
    assert list(first) == ["2048"] and list(second) == ["logits_unbiased", "2048"]
    assert len(extractor._backend._compiled) == 1
    extractor.run(images, ("64",))
    assert len(extractor._backend._compiled) == 2


def test_the_published_network_can_be_had_after_it_was_compiled(inputs, published, inception_weights):
    extractor = _loaded("efficientnet-lite0.in1k", inception_weights, "exact", "openvino")
    images = inputs["efficientnet-lite0.in1k"]
    extractor.run(images, ("1280",))
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in extractor.network.modules())
    with torch.no_grad():
        again = extractor.network(images, ("1280",))["1280"]
    assert torch.equal(again, published["efficientnet-lite0.in1k"]["1280"])


@pytest.mark.parametrize("backend", ["openvino", "torch", "reference"])
def test_weights_that_change_under_an_extractor_are_refused(backend, inputs, inception_weights, tmp_path):
    """Other outputs, or another device, take the network from its file again."""
    path, images = tmp_path / "w.pth", inputs["inception-v3.tf2015"][:1]
    path.write_bytes(inception_weights.read_bytes())
    extractor = _loaded("inception-v3.tf2015", path, "exact", backend)
    extractor.run(images, ("64",))
    os.utime(path)  # the same bytes are the same weights
    extractor.to(CPU, "exact", backend)
    extractor.run(images, ("64",))
    state = torch.load(path, weights_only=True)
    state["Mixed_5b.branch1x1.conv.weight"] *= 1.01
    torch.save(state, path)

    def again():
        extractor.to(CPU, "exact", backend)
        extractor.run(images, ("64",))

    with pytest.raises(WeightsError, match=rf"'{re.escape(str(path))}' of extractor .* have changed while they were"):
        again()


class _Unusual(torch.nn.Module):
    def forward(self, x, wanted):
        return {"x": torch.erf(x).flatten(1)}


class _Plain(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x, wanted):
        return {"x": self.conv(x).flatten(1)}


def test_a_function_without_translation_is_named():
    with pytest.raises(CannotLowerError, match="'erf'"):
        lower(_Unusual(), torch.zeros(1, 3, 8, 8), 4, ["x"])
    backend = openvino_backend.OpenVINOBackend(_Unusual, "exact")
    with pytest.raises(DeviceError, match=r"cannot run this network .*'erf'.*; use '--backend torch'"):
        backend.start(torch.zeros(1, 3, 8, 8), ("x",))


def test_a_translation_to_another_shape_is_noticed(monkeypatch):
    monkeypatch.setattr("genmetrics.extractors.backends.lowering._pair", lambda value: [1, 1])
    with pytest.raises(CannotLowerError, match=r"'conv2d' was translated to another shape than \(1, 4, 6, 6\)"):
        lower(_Plain(), torch.zeros(1, 3, 8, 8), 4, ["x"])


def test_features_that_differ_from_torchs_are_refused(monkeypatch):
    """A translation that is wrong, or an engine that is."""
    assert openvino_backend.OpenVINOBackend(_Plain, "exact").start(torch.ones(1, 3, 8, 8), ("x",))()
    true_lower = openvino_backend.lower

    def wrong(*arguments, **options):
        lowered = true_lower(*arguments, **options)
        return lowered._replace(outputs=[1.001 * output for output in lowered.outputs])

    monkeypatch.setattr(openvino_backend, "lower", wrong)
    with pytest.raises(DeviceError, match=r"other features 'x' than torch on a test image \(relative difference 0.001"):
        openvino_backend.OpenVINOBackend(_Plain, "exact").start(torch.ones(1, 3, 8, 8), ("x",))


def test_damaged_weights_are_no_zeros(inception_weights, tmp_path):
    """OpenVINO's rectifier makes 0 of NaN, which would look like a feature."""
    state = torch.load(inception_weights, weights_only=True)
    state["Mixed_5b.branch1x1.conv.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    extractor = _loaded("inception-v3.tf2015", tmp_path / "nan.pth", "exact", "openvino")
    with pytest.raises(StatisticsError, match="features '2048' of a test image contain NaN"):
        extractor.run(torch.zeros(1, 3, 299, 299), ("2048",))


def test_nothing_is_reported_to_openvinos_makers(tmp_path):
    """Importing openvino by itself writes an identifier to the home folder and sends an event."""
    code = (
        "import socket, sys\n"
        "def refused(*arguments): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.create_connection = refused\n"
        "import {module}\n"
        "print('openvino_telemetry' in sys.modules, 'openvino' in sys.modules)\n"
    )
    # CI environments are left alone by the package, which would hide what this looks for.
    env = {key: value for key, value in os.environ.items() if key not in _CI} | {"HOME": str(tmp_path)}

    def run(module):
        command = [sys.executable, "-c", code.format(module=module)]
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return ended.stdout.split(), sorted(path.name for path in tmp_path.rglob("*openvino*"))

    assert run("genmetrics.extractors.backends.openvino_backend") == (["False", "True"], [])
    # The negative control: what it does where nobody keeps it from it, if it is there at all.
    if importlib.util.find_spec("openvino_telemetry") is not None:
        assert run("openvino")[0] == ["True", "True"]


class _Exchanging(torch.nn.Module):
    """Right for one image, and for any batch whose images are alike."""

    def forward(self, x, wanted):
        return {"x": x.flatten(1)}


@pytest.mark.parametrize(("precision", "share"), [("exact", 1e-3), ("bf16", 1.0)])
@pytest.mark.parametrize("places", [[0, 2, 1, 3], [1, 2, 3, 0], [0, 1, 2, 2], [0, 0, 2, 3]], ids=str)
def test_images_that_mix_in_a_batch_are_refused(monkeypatch, precision, share, places):
    """An engine in which an image's features are, wholly or in part, those of another place."""
    if precision == "bf16" and not openvino_backend.has_bf16():
        pytest.skip("this processor has no bfloat16 instructions; run on one that has (AVX-512 BF16, AMX)")
    openvino_backend.OpenVINOBackend(_Exchanging, precision).start(torch.ones(1, 3, 8, 8), ("x",))()
    true_lower, ops = openvino_backend.lower, lowering.ops

    def mixing(*arguments, **options):
        lowered = true_lower(*arguments, **options)
        model = lowered.model
        last = model.outputs[0].get_node().input_value(0)
        other = ops.gather(last, ops.constant(places), ops.constant(0))
        factors = [ops.constant(np.array(factor, np.float32)) for factor in (1 - share, share)]
        mixed = ops.add(ops.multiply(last, factors[0]), ops.multiply(other, factors[1]))
        return lowered._replace(model=lowering.openvino.Model([mixed], model.get_parameters(), "mixed"))

    monkeypatch.setattr(openvino_backend, "lower", mixing)
    with pytest.raises(DeviceError, match="other features 'x' than torch on a test image"):
        openvino_backend.OpenVINOBackend(_Exchanging, precision).start(torch.ones(1, 3, 8, 8), ("x",))


def test_an_error_in_the_engines_thread_is_raised_where_the_features_are_asked_for(monkeypatch):
    """Uncaught there, it would end the process, or be told of another batch."""
    backend = openvino_backend.OpenVINOBackend(_Plain, "exact")
    whole = backend.start(torch.ones(6, 3, 8, 8), ("x",))()["x"]
    [compiled] = backend._compiled.values()
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_widths", [5])
        pending = backend.start(torch.ones(6, 3, 8, 8), ("x",))
        with pytest.raises(ValueError, match="could not broadcast"):
            pending()
    assert torch.equal(backend.start(torch.ones(6, 3, 8, 8), ("x",))()["x"], whole)


def test_features_that_never_come_are_missed():
    backend = openvino_backend.OpenVINOBackend(_Plain, "exact")
    backend.start(torch.ones(6, 3, 8, 8), ("x",))()
    [compiled] = backend._compiled.values()
    compiled._queue.set_callback(lambda request, userdata: None)
    with pytest.raises(DeviceError, match=r"gave no features for 6 of 6 images; use '--backend torch'"):
        backend.start(torch.ones(6, 3, 8, 8), ("x",))()


_LITE = """
import sys, torch
from genmetrics.extractors.base import load_extractor
extractor = load_extractor("efficientnet-lite0.in1k")
extractor.to(torch.device("cpu"), "exact", {backend!r})
images = torch.zeros(64, 3, 224, 224)
extractor.run(images[:1], ("1280",))
"""


def _ended(code: str, backend: str = "openvino") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _LITE.format(backend=backend) + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(3)", 3),
        ("raise ValueError", 1),
        ("del extractor, pending; sys.exit(3)", 3),
    ],
)
def test_the_interpreter_ends_as_it_would_while_a_batch_is_in_the_network(code, expected):
    ended = _ended("pending = extractor.start(images, ('1280',)); " + code)
    assert (ended.returncode, "FATAL" in ended.stderr) == (expected, False), ended.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no such signals; run on Linux or macOS")
def test_signals_are_handled_after_networks_came_and_went():
    """Python's handlers run on the stack that an engine left for signals; one that is freed kills the process."""
    code = """
import gc, os, signal

def loaded():
    made = load_extractor("efficientnet-lite0.in1k")
    made.to(torch.device("cpu"), "exact", "openvino")
    made.run(images[:1], ("1280",))
    return made

others = [loaded(), loaded()]
del extractor
gc.collect()
while others:
    others.pop(0)
    gc.collect()
taken = []
signal.signal(signal.SIGUSR1, lambda number, frame: taken.append(number))
rubbish = [bytearray(2**14) for _ in range(2000)]
for _ in range(3):
    os.kill(os.getpid(), signal.SIGUSR1)
sys.exit(len(taken))
"""
    ended = _ended(code)
    assert ended.returncode == 3, ended


@pytest.mark.skipif(sys.platform != "linux", reason="forks are safe nowhere else; run on Linux")
def test_a_forked_process_is_told_and_does_not_hang():
    """Neither with a network that ran before nor with one of its own."""
    code = """
import multiprocessing
from genmetrics.errors import DeviceError

def work():
    other = load_extractor("efficientnet-lite0.in1k")
    other.to(torch.device("cpu"), "exact", "openvino")
    for one in (extractor, other):
        try:
            one.run(images[:1], ("1280",))
        except DeviceError as error:
            assert 'by the method "spawn"' in str(error)
        else:
            sys.exit(4)
    sys.exit(5)

process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join(30)
process.kill()
extractor.run(images[:1], ("1280",))
sys.exit(process.exitcode)
"""
    assert _ended(code).returncode == 5


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"__init__": "__version__ = '2024.2.0-1-x'", "opset13": ""}, r"openvino 2024\.2\.0-1-x cannot be used"),
        ({"__init__": "__version__ = '2025.0.0-1-x'"}, r"ModuleNotFoundError: No module named 'openvino\.opset13'"),
        ({"__init__": "raise OSError('libopenvino.so: no such file')"}, r"\(OSError: libopenvino.so: no such file\)"),
    ],
    ids=["old", "half", "broken"],
)
def test_an_openvino_that_cannot_be_used_is_no_traceback(files, text, tmp_path, monkeypatch):
    (tmp_path / "openvino").mkdir()
    for name, code in files.items():
        (tmp_path / "openvino" / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(choose.platform, "machine", lambda: "x86_64")
    for name in [*sys.modules]:
        if name.split(".")[0] == "openvino" or name.startswith("genmetrics.extractors.backends.openvino_"):
            monkeypatch.delitem(sys.modules, name)
    name = choose.backend_name("auto", CPU, "exact")
    with pytest.raises(DependencyError, match=text) as caught:
        choose.make_backend(name, _Plain, CPU, "exact")
    assert "needed is openvino>=2025.0" in str(caught.value) and "use '--backend torch'" in str(caught.value)
    # Nothing of it stays, so that another may be put in its place.
    for name in [*sys.modules]:
        if name.split(".")[0] == "openvino":
            del sys.modules[name]


class TestChoice:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch):
        """An x86-64 machine with OpenVINO and bfloat16, whatever this one is."""
        monkeypatch.setattr(choose.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: object())
        monkeypatch.setattr(choose, "_openvino_has_bf16", lambda: True)

    def test_automatic(self, monkeypatch):
        assert choose.backend_name("auto", CPU, "exact") == "openvino"
        assert choose.backend_name("auto", CPU, "bf16") == "openvino"
        assert choose.backend_name("auto", CPU, "tf32") == "torch"
        assert choose.backend_name("auto", torch.device("cuda"), "exact") == "torch"
        monkeypatch.setattr(choose, "_openvino_has_bf16", lambda: False)
        assert choose.backend_name("auto", CPU, "bf16") == "torch"
        monkeypatch.setattr(choose.platform, "machine", lambda: "aarch64")
        assert choose.backend_name("auto", CPU, "exact") == "torch"
        assert choose.backend_name("openvino", CPU, "exact") == "openvino"

    def test_not_installed(self, monkeypatch):
        monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: None)
        assert choose.backend_name("auto", CPU, "exact") == "torch"
        with pytest.raises(DependencyError, match=r"needs the package openvino; install it with \"pip install"):
            choose.backend_name("openvino", CPU, "exact")

    def test_what_openvino_cannot(self, monkeypatch):
        with pytest.raises(UsageError, match="runs on the CPU, and the device is 'cuda:1'"):
            choose.backend_name("openvino", torch.device("cuda:1"), "exact")
        with pytest.raises(UsageError, match="no precision 'tf32'"):
            choose.backend_name("openvino", CPU, "tf32")
        monkeypatch.setattr(choose, "_openvino_has_bf16", lambda: False)
        with pytest.raises(UsageError, match="no bfloat16 instructions; use '--precision exact'"):
            choose.backend_name("openvino", CPU, "bf16")

    def test_torch_and_the_published_network_run_everywhere(self):
        for device in ("cpu", "cuda", "mps"):
            assert choose.backend_name("torch", torch.device(device), "bf16") == "torch"
            assert choose.backend_name("reference", torch.device(device), "exact") == "reference"


class TestReports:
    @pytest.fixture
    def images(self, smooth_images):
        return smooth_images(24, 40, 40, seed=1), smooth_images(20, 40, 40, seed=2, warmth=0.3)

    @pytest.mark.parametrize("backend", ["openvino", "torch", "reference"])
    def test_the_report_tells_the_backend(self, images, backend):
        report = gm.evaluate(*images, extractor="efficientnet-lite0.in1k", device="cpu", backend=backend)
        record = report.to_dict()["extractors"]["efficientnet-lite0.in1k"]
        assert record["backend"] == backend
        assert ("openvino" in report.versions) or backend != "openvino"

    def test_numbers_agree(self, images):
        reports = {
            backend: gm.evaluate(*images, extractor="efficientnet-lite0.in1k", device="cpu", backend=backend)
            for backend in ("openvino", "torch", "reference")
        }
        for name, expected in reports["reference"].metrics.items():
            for backend in ("openvino", "torch"):
                found = reports[backend].metrics[name].value
                print(name, backend, found / expected.value - 1)
                assert found == pytest.approx(expected.value, rel=1e-6, abs=1e-9)

    def test_each_backend_has_its_own_place_in_the_cache(self, images, tmp_path, monkeypatch):
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path))
        folder = tmp_path / "set"
        folder.mkdir()
        from PIL import Image

        for number, image in enumerate(images[0]):
            Image.fromarray(image).save(folder / f"{number}.png")

        def reused(backend):
            return gm.evaluate(
                folder, extractor="efficientnet-lite0.in1k", device="cpu", backend=backend, metrics=["isc"], cache=True
            ).reused

        assert reused("openvino") == ()
        assert reused("torch") == ()
        assert reused("openvino") == ("gen",)
        assert reused("auto") == (("gen",) if choose.backend_name("auto", CPU, "exact") == "openvino" else ())

    def test_a_network_that_has_no_backends(self, images, tmp_path):
        code = tmp_path / "net.py"
        code.write_text("import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.Flatten())\n")
        with pytest.raises(UsageError, match=r"runs on torch alone; leave '--backend' out"):
            gm.evaluate(*images, metrics=["fid"], extractor=f"python:{code}:net", backend="openvino", device="cpu")
