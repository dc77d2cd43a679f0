"""The same path on a CUDA device."""

from __future__ import annotations

import pytest
import torch

import genmetrics as gm
from genmetrics.extractors.base import load_extractor

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("metric", ["fid", "fid_pytorch", "fid_64", "kid", "isc"])
def test_exact_numbers_equal_the_cpus(smooth_images, inception_weights, metric):
    gen, ref = smooth_images(24, 64, 64, seed=1), smooth_images(30, 64, 64, seed=2, warmth=0.3)
    values = [
        gm.evaluate(gen, ref, [metric], weights=inception_weights, device=device)[metric].value
        for device in ("cpu", "cuda")
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-4, abs=1e-6)


def test_exact_features_do_not_use_tf32(smooth_images, inception_weights):
    images = torch.from_numpy(smooth_images(8, 299, 299, seed=1)).permute(0, 3, 1, 2).contiguous()
    extractor = load_extractor("inception-v3.tf2015", inception_weights)
    expected = extractor(images, ["2048"])["2048"]
    errors = {}
    for precision in ("exact", "tf32"):
        extractor.to(torch.device("cuda"), precision)
        found = extractor(images, ["2048"])["2048"].cpu()
        errors[precision] = float((found - expected).norm() / expected.norm())
    assert errors["exact"] < 1e-5
    # The negative control: on a device with TF32 the other precision is visibly less exact.
    if torch.cuda.get_device_capability() >= (8, 0):
        assert errors["tf32"] > 10 * errors["exact"]


def test_the_process_keeps_its_own_switches(smooth_images, inception_weights):
    torch.backends.cudnn.allow_tf32 = True
    gm.evaluate(smooth_images(10, 32, 32, seed=1), metrics=["isc"], weights=inception_weights, device="cuda")
    assert torch.backends.cudnn.allow_tf32 is True


def test_evaluator_takes_images_on_the_device(smooth_images, inception_weights):
    images = torch.from_numpy(smooth_images(12, 32, 32, seed=1)).permute(0, 3, 1, 2).contiguous()
    evaluator = gm.Evaluator(metrics=["isc"], weights=inception_weights, device="cuda")
    evaluator.update(images.cuda())
    expected = gm.evaluate(images, metrics=["isc"], weights=inception_weights, device="cuda")
    assert evaluator.compute()["isc"].value == pytest.approx(expected["isc"].value, rel=1e-6)
    assert evaluator.compute().gen.digest == expected.gen.digest
