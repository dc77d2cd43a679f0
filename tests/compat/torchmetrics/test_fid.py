"""Our FrechetInceptionDistance beside torchmetrics 1.9.0's.

Tolerances: 1e-9 relative in float64 at full rank (features of a module, the same on both sides); 1e-4 for Inception's
few images, where torchmetrics' eigenvalues carry noise, and 2e-5 to the exact distance of its network's features.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from genmetrics.errors import GenmetricsWarning, SourceError, StatisticsError, UsageError
from genmetrics.metrics.frechet import frechet_distance
from support.colours import Colours
from support.peers import import_peer

torchmetrics = import_peer("torchmetrics")
moments_of = import_peer("genmetrics.compat.torchmetrics.moments_state").moments_of

pytestmark = pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")


def fed(metric, real, fake, batch=7):
    for part in real.split(batch):
        metric.update(part, real=True)
    for part in fake.split(batch):
        metric.update(part, real=False)
    return metric


def exact(real: torch.Tensor, fake: torch.Tensor) -> float:
    """The distance from the singular values of the centred rows' products."""
    rows = [side.double().numpy() for side in (real, fake)]
    centred = [(side - side.mean(axis=0)) / (len(side) - 1) ** 0.5 for side in rows]
    apart = ((rows[0].mean(axis=0) - rows[1].mean(axis=0)) ** 2).sum() + sum((side**2).sum() for side in centred)
    return float(apart - 2 * np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum())


@pytest.fixture(scope="module")
def sets(images):
    return images(5, 1), images(4, 2, warmth=1.0)


class TestInception:
    @pytest.mark.parametrize("antialias", [True, False])
    def test_the_number_is_torchmetrics(self, original, ours, inception_weights, sets, antialias):
        arguments = {"feature": 64, "feature_extractor_weights_path": str(inception_weights), "antialias": antialias}
        found = fed(ours.FrechetInceptionDistance(**arguments), *sets).compute()
        theirs = fed(original.FrechetInceptionDistance(**arguments), *sets)
        expected = theirs.compute()
        assert found.dtype == expected.dtype == torch.float32 and found.shape == expected.shape
        assert float(found) == pytest.approx(float(expected), rel=1e-4)
        assert float(found) == pytest.approx(exact(*map(theirs.inception, sets)), rel=2e-5)
        arguments["antialias"] = not antialias
        assert float(fed(ours.FrechetInceptionDistance(**arguments), *sets).compute()) != pytest.approx(
            float(expected), rel=1e-3
        )

    @pytest.mark.parametrize("antialias", [True, False])
    def test_layer_by_layer_it_is_exact(self, original, ours, inception_weights, sets, antialias, monkeypatch):
        """On the backend that runs the network as published, whose features are torchmetrics' to the bit."""
        monkeypatch.setattr("genmetrics.compat.torchmetrics.network.backend_name", lambda *_: "reference")
        arguments = {"feature_extractor_weights_path": inception_weights, "antialias": antialias}
        theirs = original.Network("x", ["64"], str(inception_weights), antialias)
        real, fake = sets[0][:5], sets[1][:5]
        metric = fed(ours.FrechetInceptionDistance(64, **arguments), real, fake)
        assert torch.equal(metric.inception(real), theirs(real))
        in_float64 = frechet_distance(moments_of(metric.fake_moments), moments_of(metric.real_moments))
        assert in_float64 == pytest.approx(exact(theirs(real), theirs(fake)), rel=1e-9)
        assert float(metric.compute()) == pytest.approx(in_float64, rel=1e-7)

    @pytest.mark.parametrize("feature", [192, 768, 2048])
    def test_other_layers(self, original, ours, inception_weights, sets, feature):
        real, fake = sets[0][:2], sets[1][:2]
        network = original.Network("x", [str(feature)], str(inception_weights))
        metric = ours.FrechetInceptionDistance(feature, feature_extractor_weights_path=inception_weights)
        assert float(fed(metric, real, fake).compute()) == pytest.approx(exact(network(real), network(fake)), rel=2e-5)

    def test_floats(self, original, ours, inception_weights, sets):
        """``normalize`` cuts off what is left over of a level: 0.999 of one is 0."""
        floats = [(side.double() + 0.999) / 255 for side in sets]
        floats = [side.clamp(max=1.0).float() for side in floats]
        arguments = {"feature": 64, "normalize": True, "feature_extractor_weights_path": str(inception_weights)}
        found = fed(ours.FrechetInceptionDistance(**arguments), *floats).compute()
        expected = fed(original.FrechetInceptionDistance(**arguments), *floats).compute()
        assert float(found) == pytest.approx(float(expected), rel=1e-4)
        as_bytes = fed(
            ours.FrechetInceptionDistance(64, feature_extractor_weights_path=inception_weights), *sets
        ).compute()
        assert float(found) == pytest.approx(float(as_bytes), rel=1e-4)

    def test_set_dtype(self, original, ours, inception_weights, sets):
        """The network in float64, and the result of that type; torchmetrics resizes in it too."""
        arguments = {"feature": 64, "feature_extractor_weights_path": str(inception_weights)}
        real, fake = sets[0][:3], sets[1][:3]
        found, theirs = (
            fed(side.FrechetInceptionDistance(**arguments).set_dtype(torch.float64), real, fake)
            for side in (ours, original)
        )
        value = found.compute()
        assert value.dtype == theirs.compute().dtype == torch.float64
        assert float(value) == pytest.approx(exact(*map(theirs.inception, (real, fake))), rel=1e-6)


class TestModules:
    """A network of the caller's own, which takes images as they are."""

    @pytest.mark.parametrize("counts", [(60, 50), (31, 29), (20, 90)])
    def test_the_number_is_torchmetrics(self, original, ours, images, counts):
        real, fake = images(counts[0], 1), images(counts[1], 2, warmth=1.0)
        found, expected = (
            fed(side.FrechetInceptionDistance(Colours()), real, fake).compute() for side in (ours, original)
        )
        assert found.dtype == torch.float64
        tolerance = 1e-9 if min(counts) > 27 else 1e-4  # below, torchmetrics' is of noise
        assert float(found) == pytest.approx(float(expected), rel=tolerance)
        assert float(found) == pytest.approx(exact(Colours()(real), Colours()(fake)), rel=1e-9)

    def test_the_same_set_twice_is_at_no_distance(self, original, ours, images):
        real = images(12, 1)
        found, theirs = (
            float(fed(side.FrechetInceptionDistance(Colours()), real, real).compute()) for side in (ours, original)
        )
        assert 0 <= found < 1e-12
        assert abs(theirs) > 1e-9  # of a scale of 1

    def test_an_offset_costs_no_digits(self, original, ours):
        """torchmetrics sums squares, which cancel."""

        class Far(nn.Module):
            num_features = 3

            def forward(self, values):
                return values + 1e8

        noise = torch.Generator().manual_seed(0)
        real, fake = torch.randn(2, 50, 3, dtype=torch.float64, generator=noise) + torch.tensor([0, 0.1])[:, None, None]
        found, theirs = (
            float(fed(side.FrechetInceptionDistance(Far()), real, fake).compute()) for side in (ours, original)
        )
        assert found == pytest.approx(exact(real, fake), rel=1e-6)
        assert not abs(theirs - exact(real, fake)) < 0.1 * exact(real, fake)

    @pytest.mark.parametrize("told", [27, torch.tensor(27)])
    def test_num_features(self, ours, images, told):
        network = Colours()
        network.num_features = told
        network.forward, forward = None, network.forward  # not tried
        metric = ours.FrechetInceptionDistance(network)
        network.forward = forward
        assert float(fed(metric, images(5, 1), images(5, 2)).compute()) > 0

    def test_a_module_is_tried_with_an_image_of_the_size_that_is_told(self, ours):
        class Probed(Colours):
            def forward(self, images):
                seen.append((images.shape, images.dtype))
                return super().forward(images)

        seen = []
        ours.FrechetInceptionDistance(Probed(), input_img_size=(3, 8, 9))
        ours.FrechetInceptionDistance(Probed(), normalize=True)
        assert seen == [((1, 3, 8, 9), torch.uint8), ((1, 3, 299, 299), torch.float32)]

    def test_normalize_leaves_images_of_modules_alone(self, ours, images):
        floats = images(6, 1).float() / 255
        metric = ours.FrechetInceptionDistance(Colours(), normalize=True)
        metric.update(floats, real=True)
        assert torch.equal(metric.real_features_sum, Colours()(floats).sum(dim=0))

    def test_a_row_of_one_image_may_be_squeezed(self, ours, images):
        class Squeezed(Colours):
            def forward(self, images):
                return super().forward(images).squeeze(0)

        real, fake = images(4, 1), images(4, 2)
        found = fed(ours.FrechetInceptionDistance(Squeezed()), real, fake, batch=1).compute()
        assert float(found) == pytest.approx(float(fed(ours.FrechetInceptionDistance(Colours()), real, fake).compute()))


def test_torchmetrics_sums_can_be_read(original, ours, images):
    """What scripts store of a reference, with few images and with many."""
    for counts in ((12, 5), (60, 50)):
        found, theirs = (
            fed(side.FrechetInceptionDistance(Colours()), images(counts[0], 1), images(counts[1], 2))
            for side in (ours, original)
        )
        for name, expected in theirs.metric_state.items():
            torch.testing.assert_close(getattr(found, name), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("count", [5, 27, 28, 60])
def test_the_number_does_not_depend_on_the_batches(ours, images, count, batch):
    real, fake = images(count, 1), images(40, 2)
    found = [float(fed(ours.FrechetInceptionDistance(Colours()), real, fake, size).compute()) for size in (batch, 13)]
    assert found[0] == pytest.approx(found[1], rel=1e-11)


class TestReset:
    @pytest.mark.parametrize("keeps", [True, False])
    def test_real_images(self, original, ours, images, keeps):
        real, fake, later = images(40, 1), images(35, 2), images(36, 3, warmth=1.0)
        values = []
        for side in (ours, original):
            metric = fed(side.FrechetInceptionDistance(Colours(), reset_real_features=not keeps), real, fake)
            metric.compute()
            metric.reset()
            assert int(metric.real_features_num_samples) == (40 if keeps else 0)
            assert int(metric.fake_features_num_samples) == 0
            if not keeps:
                metric.update(real, real=True)
            metric.update(later, real=False)
            values.append(float(metric.compute()))
        assert values[0] == pytest.approx(values[1], rel=1e-9)

    def test_in_inference_mode(self, ours, images):
        """Lightning's validation is in inference mode; what is reset in it is added to outside."""
        metric = ours.FrechetInceptionDistance(Colours())
        with torch.inference_mode():
            fed(metric, images(5, 1), images(5, 2)).reset()
        expected = fed(ours.FrechetInceptionDistance(Colours()), images(5, 3), images(40, 4)).compute()
        assert float(fed(metric, images(5, 3), images(40, 4)).compute()) == float(expected)


class TestForward:
    def test_a_batch_against_the_real_images_that_are_kept(self, original, ours, images):
        """torchmetrics counts the real images once more with each call."""
        real, batches = images(40, 1), [images(30, seed) for seed in (2, 3)]
        ours_, theirs = (
            side.FrechetInceptionDistance(Colours(), reset_real_features=False) for side in (ours, original)
        )
        for metric in (ours_, theirs):
            metric.update(real, real=True)
        alone = [float(fed(ours.FrechetInceptionDistance(Colours()), real, batch).compute()) for batch in batches]
        assert [float(ours_(batch, real=False)) for batch in batches] == pytest.approx(alone, rel=1e-9)
        assert float(theirs(batches[0], real=False)) == pytest.approx(alone[0], rel=1e-9)
        assert int(ours_.real_features_num_samples) == 40 and int(ours_.fake_features_num_samples) == 60
        assert int(theirs.real_features_num_samples) == 80
        whole = fed(ours.FrechetInceptionDistance(Colours()), real, torch.cat(batches)).compute()
        assert float(ours_.compute()) == pytest.approx(float(whole), rel=1e-9)

    @pytest.mark.parametrize(("keeps", "real"), [(True, True), (False, True), (False, False)])
    def test_nothing_to_compare_with(self, original, ours, images, keeps, real):
        """Theirs forgets what came before; ours does not."""
        for side in (ours, original):
            metric = fed(
                side.FrechetInceptionDistance(Colours(), reset_real_features=not keeps), images(5, 1), images(4, 2)
            )
            with pytest.raises(RuntimeError):
                metric(images(6, 3), real=real)
            kept = int(metric.fake_features_num_samples) == 4
            assert kept is (side is ours)


class TestErrors:
    @pytest.mark.parametrize(("real", "fake"), [(0, 0), (1, 5), (5, 1)])
    def test_too_few_images(self, original, ours, images, real, fake):
        for side in (ours, original):
            metric = fed(
                side.FrechetInceptionDistance(Colours()), images(real + 1, 1)[:real], images(fake + 1, 2)[:fake]
            )
            with pytest.raises(RuntimeError) as caught, np.errstate(all="ignore"):
                metric.compute()
            if side is ours:
                assert str(caught.value) == (
                    f"FID needs more than one image on each side; given are {real} real and {fake} generated "
                    "(real=False) images"
                )
                assert isinstance(caught.value, StatisticsError)

    def test_bytes_where_floats_were_said(self, ours, inception_weights, images):
        """torchmetrics multiplies them by 255, modulo 256."""
        metric = ours.FrechetInceptionDistance(64, normalize=True, feature_extractor_weights_path=inception_weights)
        with pytest.raises(
            UsageError, match=r"^normalize=True is for floats in 0\.\.1, and the images are torch\.uint8"
        ):
            metric.update(images(1, 1), real=True)
        with pytest.raises(SourceError, match=r"^image 0 of the batch: its values run from .* one of \(0, 1\)"):
            metric.update(images(1, 1).float(), real=True)
        bad = torch.full((2, 3, 8, 8), 0.5)
        bad[1, 0, 0, 0] = torch.nan
        with pytest.raises(SourceError, match=r"^image 1 of the batch: 1 value of it are NaN or infinite$"):
            metric.update(bad, real=True)
        assert int(metric.real_features_num_samples) == 0

    def test_floats_where_bytes_were_said(self, original, ours, inception_weights, images):
        for side in (ours, original):
            metric = side.FrechetInceptionDistance(64, feature_extractor_weights_path=str(inception_weights))
            with pytest.raises(ValueError, match=r"torch\.uint8"):
                metric.update(images(1, 1) / 255, real=True)

    def test_features_that_are_not_rows(self, ours, images):
        metric = ours.FrechetInceptionDistance(Colours())
        metric.inception = nn.Identity()
        with pytest.raises(
            StatisticsError, match=r"features of shape \(2, 3, 40, 52\) for a batch of 2 images; expected"
        ):
            metric.update(images(2, 1), real=True)
        metric.inception = Colours(2)
        with pytest.raises(StatisticsError, match=r"features of width 12, and 27 was expected from its num_features"):
            metric.update(images(2, 1), real=True)

    def test_features_that_are_no_numbers(self, ours, images):
        for count in (5, 60):
            metric = fed(ours.FrechetInceptionDistance(Colours()), images(count, 1), images(6, 2))
            metric.inception = nn.Sequential(Colours(), nn.Threshold(1e9, torch.inf))
            metric.update(images(2, 3), real=True)
            with pytest.raises(StatisticsError, match=r"NaN or infin"):
                metric.compute()


class TestWarnings:
    def test_the_default_is_of_no_protocol(self, ours, inception_weights):
        text = (
            r"^FrechetInceptionDistance resizes images with antialiasing, torchmetrics' default since 1\.8: the number "
            r"equals torchmetrics' and is of no published protocol\. Give antialias=False for the published one$"
        )
        with pytest.warns(GenmetricsWarning, match=text):
            ours.FrechetInceptionDistance(64, feature_extractor_weights_path=inception_weights)

    def test_the_published_one_and_modules_give_none(self, ours, inception_weights):
        """But for weights that are not the published ones."""
        with pytest.warns(GenmetricsWarning) as caught:
            ours.FrechetInceptionDistance(64, antialias=False, feature_extractor_weights_path=inception_weights)
        assert [str(warning.message) for warning in caught] == [
            f"the weights '{inception_weights}' are not the published ones of Inception: the number of "
            "FrechetInceptionDistance is comparable with others of these weights alone"
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours.FrechetInceptionDistance(Colours())

    def test_few_images(self, ours, images):
        metric = fed(ours.FrechetInceptionDistance(Colours()), images(5, 1), images(30, 2))
        with pytest.warns(GenmetricsWarning, match=r"^no more images \(reference 5\) than feature dimensions \(27\)"):
            metric.compute()

    def test_values_outside_are_clipped(self, ours, inception_weights):
        """torchmetrics makes 1 of 1.01."""
        metric = ours.FrechetInceptionDistance(64, normalize=True, feature_extractor_weights_path=inception_weights)
        floats = torch.full((1, 3, 20, 20), 0.5)
        floats[0, 0, 0, :2] = torch.tensor([1.01, -0.01])
        with pytest.warns(GenmetricsWarning, match=r"^2 values of 1 of 1 image lay outside 0\.\.1 and were clipped"):
            metric.update(floats, real=True)
        expected = metric.inception((floats.clamp(0, 1) * 255).byte())
        assert torch.equal(metric.real_features_sum, expected[0].double())
