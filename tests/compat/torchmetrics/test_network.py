"""The network in our metrics beside torchmetrics 1.9.0's, on the same weights.

Tolerance: 2e-5 relative, by norm; the folded and fused convolutions round in another order, 5e-7 is seen.
"""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

from genmetrics.errors import MissingWeightsError, SourceError, UsageError, WeightsError
from genmetrics.preprocess.spec import get_preprocess
from support.weights import random_inception_state_dict

TOLERANCE = 2e-5


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def network(ours, inception_weights):
    return ours.Network("inception-v3-compat", ["64"], str(inception_weights))


@pytest.fixture(scope="module")
def batch(images):
    return images(3, 5)


@pytest.fixture(scope="module")
def features(network, batch):
    return network(batch)


ALL = ["64", "192", "768", "2048", "logits_unbiased", "logits"]


@pytest.fixture(scope="module")
def theirs_of_all(original, inception_weights, images):
    """All outputs of torchmetrics' network, with antialiasing, of an image that is resized down and up at once."""
    network = original.Network("inception-v3-compat", ALL, str(inception_weights))
    return dict(zip(ALL, network._torch_fidelity_forward(images(1, 3, size=(340, 120))), strict=True))


@pytest.mark.parametrize("feature", ALL)
def test_features_are_the_same(theirs_of_all, ours, inception_weights, images, feature):
    found = ours.Network("inception-v3-compat", [feature], str(inception_weights))(images(1, 3, size=(340, 120)))
    expected = theirs_of_all[feature]
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert apart(found, expected) <= TOLERANCE


def test_features_without_antialiasing_are_the_same(theirs_of_all, original, ours, inception_weights, images):
    arguments = ("inception-v3-compat", ["64"], str(inception_weights), False)
    batch = images(1, 3, size=(340, 120))
    found, expected = ours.Network(*arguments)(batch), original.Network(*arguments)(batch)
    assert apart(found, expected) <= TOLERANCE
    assert apart(theirs_of_all["64"], expected) > 1e-3


def test_the_resize_with_antialiasing_is_the_same(images):
    for size in ((40, 52), (340, 120), (600, 700)):
        batch = images(2, 1, size=size)
        theirs = torch.nn.functional.interpolate(
            batch.float(), size=(299, 299), mode="bilinear", align_corners=False, antialias=True
        )
        assert torch.equal(get_preprocess("torch-bilinear-antialias-299")(batch), (theirs - 128) / 128)


def test_float64(original, ours, inception_weights, images):
    batch = images(1, 3)
    network = ours.Network("inception-v3-compat", ["64"], str(inception_weights))
    network.compute_in(torch.float64)
    theirs = original.Network("inception-v3-compat", ["64"], str(inception_weights)).double()
    theirs._dtype = torch.float64
    found, expected = network(batch), theirs(batch)
    assert found.dtype == expected.dtype == torch.float64
    assert apart(found, expected) <= 1e-6  # the resize alone is in float32
    network.compute_in(torch.float32)
    assert apart(network(batch).double(), expected) <= TOLERANCE


def test_half(ours, inception_weights, images):
    network = ours.Network("inception-v3-compat", ["logits"], str(inception_weights))
    expected = network(images(1, 3))
    network.compute_in(torch.bfloat16)
    found = network(images(1, 3))
    assert found.dtype == torch.bfloat16
    assert 0 < apart(found.float(), expected) < 0.3


class TestWhatIsAroundItChangesNothing:
    """torchmetrics' network computes in half precision under autocast, and fails in a module that was cast."""

    def test_autocast(self, original, network, features, batch, inception_weights):
        theirs = original.Network("inception-v3-compat", ["64"], str(inception_weights))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(batch), features)
            assert apart(theirs(batch).float(), features) > 1e-3

    @pytest.mark.parametrize(
        "cast",
        [
            lambda module: module.half(),
            lambda module: module.double(),
            lambda module: module.to(torch.bfloat16),
            lambda module: module.to("cpu", torch.float16),
        ],
    )
    def test_casts(self, original, inception_weights, network, features, batch, cast):
        theirs = original.Network("inception-v3-compat", ["64"], str(inception_weights))
        cast(theirs)
        with pytest.raises(RuntimeError):
            theirs(batch)
        around = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), copy.deepcopy(network))
        cast(around)
        assert around[0].weight.dtype != torch.float32
        assert torch.equal(around[1](batch), features)

    def test_inference_mode(self, network, features, batch):
        with torch.inference_mode():
            found = network(batch.clone())
        assert torch.equal(found, features) and not found.is_inference()

    def test_train(self, network, features, batch):
        torch.nn.Sequential(network).train()
        assert not network.training and torch.equal(network(batch), features)
        assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies(network, features, batch, again):
    assert torch.equal(again(network)(batch), features)


class TestStateDict:
    def test_either_side_loads_the_others(self, original, network, features, batch, inception_weights, tmp_path):
        torch.save(random_inception_state_dict(7), tmp_path / "other.pth")
        theirs = original.Network("inception-v3-compat", ["64"], str(tmp_path / "other.pth"))
        assert list(theirs.state_dict()) == list(random_inception_state_dict(7))
        changed = copy.deepcopy(network)
        assert apart(changed(batch), features) == 0
        changed.load_state_dict(theirs.state_dict())  # strict
        assert apart(changed(batch), features) > 1e-2
        assert apart(changed(batch), theirs(batch)) <= TOLERANCE
        theirs.load_state_dict(network.state_dict())
        assert apart(theirs(batch), features) <= TOLERANCE


class TestErrors:
    @pytest.mark.parametrize(
        ("batch", "text"),
        [
            (
                torch.zeros(1, 3, 8, 8),
                r"^images are torch\.float32, expected torch\.uint8 with values 0\.\.255; give floats in 0\.\.1 to a "
                r"metric with normalize=True$",
            ),
            (
                torch.zeros(3, 8, 8, dtype=torch.uint8),
                r"^images are of shape \(3, 8, 8\), expected \(n, 3, height, width\), RGB$",
            ),
            (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"^images are of shape \(2, 1, 8, 8\), expected"),
        ],
    )
    def test_images(self, network, batch, text):
        with pytest.raises(SourceError, match=text):
            network(batch)

    def test_outputs(self, ours, inception_weights):
        with pytest.raises(UsageError, match=r"^Inception has no output 'logit'; did you mean 'logits'"):
            ours.Network("x", ["logit"], str(inception_weights))

    def test_missing_weights(self, ours, tmp_path):
        with pytest.raises(MissingWeightsError, match=r"\n  here: feature_extractor_weights_path='PATH'$"):
            ours.Network("x", ["64"])
        with pytest.raises(WeightsError, match=r"missing\.pth"):
            ours.Network("x", ["64"], str(tmp_path / "missing.pth"))

    def test_code_in_weights_is_not_run(self, ours, tmp_path):
        """torchmetrics reads them with ``weights_only=False``."""
        buffer = io.BytesIO()
        torch.save({"a": print}, buffer)
        (tmp_path / "code.pth").write_bytes(buffer.getvalue())
        with pytest.raises(WeightsError, match="holds more than tensors, which is never loaded"):
            ours.Network("x", ["64"], str(tmp_path / "code.pth"))


def test_no_images(network):
    assert network(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)).shape == (0, 64)


def test_what_two_networks_differ_in_is_told(network):
    """``FeatureShare`` warns where they differ."""
    assert "features=64, antialias=True" in repr(network)
