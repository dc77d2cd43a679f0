"""The module ``inception`` beside pytorch-fid 0.3.0's, with the same random weights.

Tolerances: features 1e-5 relative (Euclidean, per map), gradients 1e-4. Reached with torch 2.13.0 on an AVX-512 CPU:
features bit-equal, gradients 9e-7.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.compat.pytorch_fid import inception
from genmetrics.compat.pytorch_fid.inception import InceptionV3, fid_inception_v3
from genmetrics.errors import GenmetricsWarning, MissingWeightsError, UsageError
from support.peers import import_peer
from support.pytorch_fid_peer import original_network

FEATURES, GRADIENTS = 1e-5, 1e-4

pytestmark = pytest.mark.filterwarnings("ignore:the weights of .* are not the published ones")
ALL = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def ours() -> InceptionV3:
    return InceptionV3(ALL).eval()


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    return original_network.InceptionV3(ALL).eval()


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> Tensor:
    """Three, 0..1."""
    return torch.from_numpy(smooth_images(3, 48, 80, seed=3)).permute(0, 3, 1, 2).to(torch.float32) / 255


def apart(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    error = float((ours - theirs).norm() / theirs.norm())
    print(f"relative {error:.1e}")
    return error


class TestMaps:
    def test_all_blocks(self, ours, theirs, images):
        with torch.no_grad():
            found, expected = ours(images), theirs(images)
        assert isinstance(found, list)
        assert [tuple(each.shape) for each in found] == [
            (3, 64, 73, 73),
            (3, 192, 35, 35),
            (3, 768, 17, 17),
            (3, 2048, 1, 1),
        ]
        for one, other in zip(found, expected, strict=True):
            assert apart(one, other) <= FEATURES

    @pytest.mark.parametrize(("resize", "normalize"), [(True, False), (False, True), (False, False)])
    def test_without_resize_or_normalisation(self, images, resize, normalize):
        """At the first block, so that an image may be as small as it is."""
        settings = {"resize_input": resize, "normalize_input": normalize}
        ours, theirs = InceptionV3([0], **settings).eval(), original_network.InceptionV3([0], **settings).eval()
        with torch.no_grad():
            (found,), (expected,), (usual,) = ours(images), theirs(images), InceptionV3([0]).eval()(images)
        assert apart(found, expected) <= FEATURES
        assert found.shape != usual.shape or apart(found, usual) > 100 * FEATURES  # the switches do something

    def test_only_what_is_needed(self, images):
        """Blocks in any order; none beyond the last is built."""
        ours, theirs = InceptionV3((1, 0)).eval(), original_network.InceptionV3((1, 0)).eval()
        assert (len(ours.blocks), ours.output_blocks, ours.last_needed_block) == (2, [0, 1], 1)
        assert (len(theirs.blocks), theirs.output_blocks, theirs.last_needed_block) == (2, [0, 1], 1)
        with torch.no_grad():
            assert [each.shape for each in ours(images)] == [each.shape for each in theirs(images)]

    def test_the_default_is_the_last(self, ours):
        assert inspect.signature(InceptionV3).parameters["output_blocks"].default == (3,)
        assert (InceptionV3.DEFAULT_BLOCK_INDEX, InceptionV3.BLOCK_INDEX_BY_DIM) == (
            original_network.InceptionV3.DEFAULT_BLOCK_INDEX,
            original_network.InceptionV3.BLOCK_INDEX_BY_DIM,
        )

    @pytest.mark.parametrize("blocks", [(), (4,), (-1,), (0, 7)])
    def test_blocks_that_are_not_there(self, blocks):
        with pytest.raises(UsageError, match="expected one or more of 0, 1, 2 and 3, such as"):
            InceptionV3(blocks)


class TestState:
    def test_state_dicts_fit_in_either_direction(self, ours, theirs):
        state = theirs.state_dict()
        assert list(ours.state_dict()) == list(state)
        InceptionV3(ALL).load_state_dict(state, strict=True)
        original_network.InceptionV3(ALL).load_state_dict(ours.state_dict(), strict=True)

    def test_a_new_module_is_in_training_mode_and_frozen(self, theirs):
        made, other = InceptionV3([0]), original_network.InceptionV3([0])
        assert made.training and other.training
        assert not any(parameter.requires_grad for parameter in made.parameters())

    def test_training_mode_computes_as_theirs_and_warns(self, images):
        """Of the batch's own statistics: an easy mistake, silent in the original."""
        ours, theirs = InceptionV3([0]), original_network.InceptionV3([0])
        with torch.no_grad():
            with pytest.warns(GenmetricsWarning, match=r"is in training mode.*call model\.eval\(\) first"):
                (found,) = ours(images)
            assert apart(found, theirs(images)[0]) <= FEATURES
            assert apart(found, ours.eval()(images)[0]) > 100 * FEATURES
        trained = InceptionV3([0], requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trained(images)

    def test_two_networks_share_nothing(self):
        first, second = InceptionV3([0], requires_grad=True), InceptionV3([0])
        with torch.no_grad():
            next(first.parameters()).zero_()
        assert float(next(second.parameters()).abs().sum()) > 0


class TestGradients:
    def test_of_the_images(self, ours, theirs, images):
        """They flow though the weights are frozen."""
        given, other = (images.clone().requires_grad_() for _ in range(2))
        ours(given)[-1].square().sum().backward()
        theirs(other)[-1].square().sum().backward()
        assert float(other.grad.norm()) > 0
        assert apart(given.grad, other.grad) <= GRADIENTS

    def test_of_the_weights(self, images):
        ours = InceptionV3([1], requires_grad=True).eval()
        theirs = original_network.InceptionV3([1], requires_grad=True).eval()
        for network in (ours, theirs):
            network(images)[0].square().mean().backward()
        for (name, one), (other_name, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == other_name
            assert apart(one.grad, other.grad) <= GRADIENTS


class TestWholeNetwork:
    def test_logits_and_layers(self, smooth_images):
        ours, theirs = fid_inception_v3(), original_network.fid_inception_v3()
        assert ours.training and theirs.training
        assert all(parameter.requires_grad for parameter in ours.parameters())
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name in ("Conv2d_1a_3x3", "maxpool1", "maxpool2", "Mixed_7c", "avgpool", "dropout", "fc"):
            assert isinstance(getattr(ours, name), torch.nn.Module) and isinstance(
                getattr(theirs, name), torch.nn.Module
            )
        images = torch.from_numpy(smooth_images(2, 299, 299, seed=4)).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
        with torch.no_grad():
            assert apart(ours.eval()(images), theirs.eval()(images)) <= FEATURES

    def test_other_weights_are_told(self):
        """The original does not look."""
        with pytest.warns(GenmetricsWarning, match=r"the weights of 'inception-v3\.tf2015' are not the published ones"):
            InceptionV3([0])

    def test_missing_weights_name_the_file(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(MissingWeightsError, match=r"looked for pt_inception-2015-12-05-6726825d\.pth"):
            InceptionV3()


class TestTorchvision:
    @pytest.fixture(scope="class")
    @staticmethod
    def imagenet(hub):
        """Random weights where torchvision looks for those of its own network."""
        torchvision = import_peer("torchvision.models")
        torch.manual_seed(5)
        network = torchvision.inception_v3(weights=None, init_weights=False)
        path = hub / "inception_v3_google-0cc3c7bd.pth"
        torch.save(network.state_dict(), path)
        yield
        path.unlink()

    @pytest.mark.usefixtures("imagenet")
    def test_its_own_network(self, images):
        ours = InceptionV3([0, 2], use_fid_inception=False).eval()
        theirs = original_network.InceptionV3([0, 2], use_fid_inception=False).eval()
        with torch.no_grad():
            for one, other in zip(ours(images), theirs(images), strict=True):
                assert apart(one, other) <= FEATURES
            assert apart(ours(images)[0], InceptionV3([0]).eval()(images)[0]) > 100 * FEATURES

    @pytest.mark.usefixtures("imagenet")
    def test_neither_torchvision_nor_scipy_is_needed(self):
        code = (
            "import sys, genmetrics.compat.pytorch_fid.fid_score as f; f.InceptionV3([0]); "
            "f.InceptionV3([0], use_fid_inception=False); f.calculate_frechet_distance(0.0, 1.0, 1.0, 2.0); "
            "print({'torchvision', 'scipy'} & set(sys.modules))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (0, "set()\n"), ended.stderr


@pytest.mark.parametrize(
    ("name", "sizes", "side"),
    [
        ("FIDInceptionA", (192, 32), 35),
        ("FIDInceptionC", (768, 160), 17),
        ("FIDInceptionC", (100, 24), 9),
        ("FIDInceptionE_1", (1280,), 8),
        ("FIDInceptionE_2", (64,), 8),
    ],
)
def test_blocks(name, sizes, side):
    """With the same state, which fits under the same names."""
    ours, theirs = (getattr(module, name)(*sizes).eval() for module in (inception, original_network))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, sizes[0], side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert apart(ours(images), theirs(images)) <= FEATURES
    parameters = [list(inspect.signature(type(block)).parameters) for block in (ours, theirs)]
    assert parameters[0] == parameters[1]


def test_public_names_are_there():
    """Every class, function and constant that the original defines."""
    own = original_network.__name__
    defined = {name for name, value in vars(original_network).items() if getattr(value, "__module__", own) == own}
    modules = {name for name, value in vars(original_network).items() if inspect.ismodule(value)}
    assert {name for name in defined - modules if not name.startswith("_")} <= set(inception.__all__)
    assert inception.FID_WEIGHTS_URL == original_network.FID_WEIGHTS_URL


@pytest.mark.parametrize("name", ["InceptionV3", "fid_inception_v3"])
def test_signatures(name):
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (inception, original_network))
    assert [(each.name, each.default, each.kind) for each in ours.parameters.values()] == [
        (each.name, each.default, each.kind) for each in theirs.parameters.values()
    ]
