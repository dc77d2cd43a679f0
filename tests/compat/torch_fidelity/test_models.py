"""Generators of torch-fidelity's kind: what they are given and give, against torch-fidelity 0.4.0's own.

Images are bit-equal: both sides draw the same noise and labels for the same seed and batch size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmetrics.compat.torch_fidelity import adapters, registry, utils
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.generative_model_modulewrapper import GenerativeModelModuleWrapper
from genmetrics.compat.torch_fidelity.generative_model_onnx import GenerativeModelONNX
from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.sources.base import BatchSpec
from genmetrics.types import Shard
from support.peers import import_peer

peer = import_peer("torch_fidelity")
peer_utils = import_peer("torch_fidelity.utils")

Z = 6


class Net(nn.Module):
    """Images (n, 3, 4, 5) of noise, and of classes that shift it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(Z, 60, generator=torch.Generator().manual_seed(1)), requires_grad=False)

    def forward(self, z: Tensor) -> Tensor:
        return (torch.sigmoid(z @ self.weight) * 255).to(torch.uint8).view(-1, 3, 4, 5)


class Conditional(Net):
    def forward(self, z: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return (torch.sigmoid(z @ self.weight + labels[:, None] - 3) * 255).to(torch.uint8).view(-1, 3, 4, 5)


def _pixels(x: Tensor) -> tuple[Tensor]:
    return (x.flatten(1).float(),)


class Pixels(FeatureExtractorBase):
    """The images themselves as features."""

    get_provided_features_list = staticmethod(lambda: ("pixels",))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return _pixels(x)


class TheirPixels(peer.FeatureExtractorBase):
    get_provided_features_list = staticmethod(lambda: ("pixels",))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return _pixels(x)


@pytest.fixture(autouse=True)
def _numpy_of_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity draws labels with a type that NumPy dropped in 2022."""
    monkeypatch.setattr(np, "int", np.int64, raising=False)


@pytest.fixture
def shifted() -> Iterator[None]:
    """A noise source of both sides."""

    def draw(rng: np.random.RandomState, shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(rng.gamma(2.0, size=shape)).float()

    registry.register_noise_source("gamma", draw)
    yield
    del registry.NOISE_SOURCE_REGISTRY["gamma"]


def theirs(model: nn.Module, num: int, batch_size: int, seed: int) -> Tensor:
    found = peer_utils.get_featuresdict_from_generative_model(
        model, TheirPixels("p", ["pixels"]), num, batch_size, False, seed, False
    )
    return found["pixels"]


def read(source: object) -> Tensor:
    batches = list(source.batches(Shard(), BatchSpec(batch_size=7)))
    return torch.cat([batch.images for batch in batches])[torch.cat([batch.indices for batch in batches]).argsort()]


@pytest.mark.parametrize("z_type", ["normal", "uniform_0_1"])
@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize(("num", "batch_size"), [(23, 8), (5, 64)])
def test_images_are_theirs(z_type, classes, num, batch_size):
    net = Conditional() if classes else Net()
    expected = theirs(peer.GenerativeModelModuleWrapper(net, Z, z_type, classes), num, batch_size, 11)
    model = GenerativeModelModuleWrapper(net, Z, z_type, classes)
    source = adapters.source_of(model, model_num_samples=num, batch_size=batch_size, rng_seed=11)
    assert len(source) == num
    assert torch.equal(read(source).flatten(1).float(), expected)
    features = utils.get_featuresdict_from_generative_model(
        model, Pixels("p", ["pixels"]), num, batch_size, False, 11, False
    )
    assert torch.equal(features["pixels"], expected)
    # Negative controls: another seed, and another batch size where labels come between batches of noise.
    assert not torch.equal(read(adapters.source_of(model, model_num_samples=num, rng_seed=12)).flatten(1), expected)
    if classes and num > batch_size:
        other = read(adapters.source_of(model, model_num_samples=num, batch_size=num, rng_seed=11))
        assert not torch.equal(other.flatten(1).float(), expected)


def test_both_inputs_have_the_same_noise():
    """As in torch-fidelity; our engine alone gives each side its own."""
    model = GenerativeModelModuleWrapper(Net(), Z, "normal", 0)
    first, second = (adapters.source_of(model, model_num_samples=5, slot=slot) for slot in ("input1", "input2"))
    assert torch.equal(read(first), read(second))


def test_unit_noise_is_of_the_whole_sphere():
    seen: list[Tensor] = []

    class Spy(Net):
        def forward(self, z: Tensor) -> Tensor:
            seen.append(z)
            return super().forward(z)

    read(adapters.source_of(GenerativeModelModuleWrapper(Spy(), Z, "unit", 0), model_num_samples=40))
    [z] = seen
    assert torch.allclose(z.norm(dim=1), torch.ones(40)) and float(z.min()) < -0.5


@pytest.mark.usefixtures("shifted")
def test_a_registered_noise_source():
    source = adapters.source_of(GenerativeModelModuleWrapper(Net(), Z, "gamma", 0), model_num_samples=9, rng_seed=4)
    z = torch.from_numpy(np.random.RandomState(4).gamma(2.0, size=(9, Z))).float()
    assert torch.equal(read(source), Net()(z))
    with pytest.raises(ValueError, match="z_type=gamma not implemented"):
        peer.GenerativeModelModuleWrapper(Net(), Z, "gamma", 0)


class TestWrapper:
    def test_properties_and_options(self):
        net = Net().train()
        model = GenerativeModelModuleWrapper(net, Z, "normal", 3)
        assert (model.z_size, model.z_type, model.num_classes) == (Z, "normal", 3)
        assert model.module is net and not net.training
        kept = GenerativeModelModuleWrapper(net.train(), Z, "normal", 0, make_copy=True, make_eval=False, cuda=False)
        assert kept.module is not net and kept.module.training
        assert torch.equal(kept(torch.ones(1, Z)), net(torch.ones(1, Z)))
        net.weight.zero_()
        assert not torch.equal(kept(torch.ones(1, Z)), net(torch.ones(1, Z)))

    def test_a_generator_stays_in_its_mode(self):
        modes: list[bool] = []

        class Spy(Net):
            def forward(self, z: Tensor) -> Tensor:
                modes.append(self.training)
                return super().forward(z)

        for make_eval in (False, True):
            model = GenerativeModelModuleWrapper(Spy(), Z, "normal", 0, make_eval=make_eval)
            read(adapters.source_of(model, model_num_samples=3))
        assert modes == [True, False]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"z_size": 0}, "z_size is 0; expected the size of the noise"),
            ({"num_classes": -1}, "num_classes is -1; expected 0"),
            ({"z_type": "gauss"}, "noise source 'gauss' is not registered"),
        ],
    )
    def test_errors(self, given, message):
        with pytest.raises(ValueError, match=message):
            GenerativeModelModuleWrapper(Net(), **{"z_size": Z, "z_type": "normal", "num_classes": 0, **given})

    def test_base_is_abstract(self):
        with pytest.raises(TypeError, match="abstract"):
            GenerativeModelBase()


class Own(GenerativeModelBase):
    """A generator of a user's, which hands out images that it has."""

    z_size, z_type, num_classes = 2, "normal", 0

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images, self.calls = images, 0

    def forward(self, z: Tensor) -> Tensor:
        first, self.calls = self.calls, self.calls + len(z)
        return self.images[first : first + len(z)]


class TestOwn:
    def test_it_is_called_once_for_each_batch(self):
        images = torch.randint(0, 256, (10, 3, 4, 4), dtype=torch.uint8)
        own = Own(images)
        source = adapters.source_of(own, model_num_samples=10, batch_size=4)
        assert own.calls == 0
        # An image that a feature extractor is tried on is not lost.
        assert torch.equal(source.first_image(), images[:1])
        assert torch.equal(read(source), images) and own.calls == 10

    def test_floats_are_refused(self):
        source = adapters.source_of(Own(torch.rand(4, 3, 4, 4)), model_num_samples=4)
        with pytest.raises(UsageError, match=r"generator Own gave float32 images; expected uint8, 0\.\.255: let it"):
            read(source)

    @pytest.mark.parametrize("num", [None, 0, True])
    def test_number_of_samples(self, num):
        with pytest.raises(UsageError, match=r"number of samples .*; give input2_model_num_samples, such as 50000"):
            adapters.source_of(Own(torch.zeros(1)), model_num_samples=num, slot="input2")


def save_script(path: Path, net: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(net), path)
    return path


def save_onnx(path: Path, conditional: bool, batch: int | str = "n") -> Path:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; pip install 'genmetrics[dev]'")
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = Net().weight.numpy()
    nodes = [helper.make_node("MatMul", ["z", "weight"], ["a"])]
    inputs = [helper.make_tensor_value_info("z", kinds.FLOAT, [batch, Z])]
    constants = [
        onnx.numpy_helper.from_array(weight, "weight"),
        onnx.numpy_helper.from_array(np.array([-1, 3, 4, 5], dtype=np.int64), "shape"),
        onnx.numpy_helper.from_array(np.float32(255), "full"),
    ]
    last = "a"
    if conditional:
        inputs.append(helper.make_tensor_value_info("labels", kinds.INT64, [batch]))
        constants += [
            onnx.numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), "column"),
            onnx.numpy_helper.from_array(np.float32(3), "three"),
        ]
        nodes += [
            helper.make_node("Cast", ["labels"], ["b"], to=kinds.FLOAT),
            helper.make_node("Reshape", ["b", "column"], ["c"]),
            helper.make_node("Add", ["a", "c"], ["d"]),
            helper.make_node("Sub", ["d", "three"], ["e"]),
        ]
        last = "e"
    nodes += [
        helper.make_node("Sigmoid", [last], ["f"]),
        helper.make_node("Mul", ["f", "full"], ["g"]),
        helper.make_node("Cast", ["g"], ["h"], to=kinds.UINT8),
        helper.make_node("Reshape", ["h", "shape"], ["images"]),
    ]
    graph = helper.make_graph(
        nodes, "G", inputs, [helper.make_tensor_value_info("images", kinds.UINT8, [batch, 3, 4, 5])], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


SAVE: dict[str, Callable[[Path, bool], Path]] = {
    ".pth": lambda path, conditional: save_script(path, Conditional() if conditional else Net()),
    ".onnx": save_onnx,
}


class TestFiles:
    @pytest.mark.parametrize("suffix", SAVE)
    @pytest.mark.parametrize("classes", [0, 5])
    def test_images_are_theirs(self, suffix, classes, tmp_path):
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; pip install 'genmetrics[onnx]'")
        path = SAVE[suffix](tmp_path / f"G{suffix}", bool(classes))
        given = {"model_z_size": Z, "model_z_type": "uniform_0_1", "model_num_classes": classes}
        source = adapters.source_of(str(path), model_num_samples=20, batch_size=8, rng_seed=3, **given)
        model = peer_utils.prepare_input_from_descriptor(
            {"input": str(path), **{f"input_{name}": value for name, value in given.items()}}
        )
        assert torch.equal(read(source).flatten(1).float(), theirs(model, 20, 8, 3))
        loaded = adapters.model_of(path, **given)
        options = {f"input1_{name}": value for name, value in given.items()}
        again = utils.prepare_input_from_id(1, input1=str(path), **options)
        assert type(again) is type(loaded) and again.z_size == Z
        features = utils.extract_featuresdict_from_input_id(
            1,
            Pixels("p", ["pixels"]),
            input1=str(path),
            input1_model_num_samples=20,
            batch_size=8,
            rng_seed=3,
            cuda=False,
            verbose=False,
            **options,
        )
        assert torch.equal(features["pixels"], theirs(model, 20, 8, 3))
        assert isinstance(loaded, GenerativeModelONNX if suffix == ".onnx" else GenerativeModelModuleWrapper)
        assert (loaded.z_size, loaded.z_type, loaded.num_classes) == (Z, "uniform_0_1", classes)

    @pytest.mark.usefixtures("shifted")
    def test_registered_noise(self, tmp_path):
        path = save_script(tmp_path / "G.pth", Net())
        source = adapters.source_of(path, model_z_size=Z, model_z_type="gamma", model_num_samples=4, rng_seed=9)
        z = torch.from_numpy(np.random.RandomState(9).gamma(2.0, size=(4, Z))).float()
        assert torch.equal(read(source), Net()(z))

    def test_an_onnx_model_of_one_batch_size(self, tmp_path):
        model = GenerativeModelONNX(str(save_onnx(tmp_path / "G.onnx", False, batch=8)), Z, "normal", 0)
        assert model.input_names == ["z"] and model.ort_session.get_outputs()[0].name == "images"
        assert read(adapters.source_of(model, model_num_samples=10, batch_size=8)).shape == (10, 3, 4, 5)
        with pytest.raises(UsageError, match=r"called with 2 inputs; it takes 1: z"):
            model(torch.zeros(8, Z), torch.zeros(8))

    def test_errors(self, tmp_path):
        path = save_script(tmp_path / "G.pth", Net())
        with pytest.raises(UsageError, match=r"is not given: give input2_model_z_size"):
            adapters.source_of(path, model_num_samples=4, slot="input2")
        with pytest.raises(UnknownNameError, match="noise source 'gauss' is not registered"):
            adapters.source_of(path, model_z_size=Z, model_z_type="gauss", model_num_samples=4)
        torch.save(Net().state_dict(), tmp_path / "weights.pth")
        with pytest.raises(SourceError, match=r"weights.pth' is no TorchScript archive"):
            adapters.source_of(tmp_path / "weights.pth", model_z_size=Z, model_num_samples=4)
        (tmp_path / "empty.onnx").write_bytes(b"no model")
        with pytest.raises(SourceError, match="cannot be loaded as an ONNX model"):
            adapters.source_of(tmp_path / "empty.onnx", model_z_size=Z, model_num_samples=4)
        with pytest.raises(SourceError, match=r"nowhere\.onnx"):
            GenerativeModelONNX(tmp_path / "nowhere.onnx", Z, "normal", 0)
        onnx = save_onnx(tmp_path / "G.onnx", False)
        with pytest.raises(UsageError, match=r"z_size=7 does not fit; give z_size=6"):
            GenerativeModelONNX(onnx, 7, "normal", 0)

    def test_model_of_other_things(self):
        own = Own(torch.zeros(1))
        assert adapters.model_of(own) is own
        with pytest.raises(UsageError, match=r"input1 is 'somewhere', and a path length is of a generator: give an"):
            adapters.model_of("somewhere")
