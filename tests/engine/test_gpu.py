"""The same path on a CUDA device."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

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
    assert errors["exact"] < 1e-4
    # The negative control: on a device with TF32 the other precision is visibly less exact.
    if torch.cuda.get_device_capability() >= (8, 0):
        assert errors["tf32"] > 5 * errors["exact"]


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


def test_several_networks_in_uneven_batches_equal_the_cpus(smooth_images, inception_weights, vgg16_weights):
    """One decode, two networks, batches of which the last is filled up."""
    gen, ref = smooth_images(45, 64, 64, seed=1), smooth_images(38, 64, 64, seed=2, warmth=0.3)
    metrics = ["fid", "kid", "isc", "fd.vgg16.tv-in1k"]
    weights = {"inception-v3.tf2015": inception_weights, "vgg16.tv-in1k": vgg16_weights}
    reports = [
        gm.evaluate(gen, ref, metrics, weights=weights, device=device, batch_size=8) for device in ("cpu", "cuda")
    ]
    for metric in metrics:
        assert reports[1][metric].value == pytest.approx(reports[0][metric].value, rel=1e-4, abs=1e-6)


def test_images_of_many_sizes_equal_the_cpus(smooth_images, inception_weights, tmp_path):
    for number in range(30):
        image = smooth_images(1, 40 + number % 4, 50 - number % 3, seed=number)[0]
        Image.fromarray(image).save(tmp_path / f"{number:02d}.png")
    values = [
        gm.evaluate(tmp_path, metrics=["isc"], weights=inception_weights, device=device, batch_size=4)["isc"].value
        for device in ("cpu", "cuda")
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-4)


def test_saved_statistics_of_a_gpu_are_those_of_a_cpu(smooth_images, inception_weights, tmp_path):
    images = smooth_images(40, 48, 48, seed=1)
    states = []
    for device in ("cpu", "cuda"):
        stats = gm.compute_stats(images, ["fid_64", "kid"], weights=inception_weights, device=device)
        stats.save(tmp_path / f"{device}.safetensors")
        states.append(gm.Stats.load(tmp_path / f"{device}.safetensors"))
    for need, held in states[0].accumulators.items():
        for name, values in held.state().items():
            found = states[1].accumulators[need].state()[name]
            torch.testing.assert_close(found, values, rtol=1e-3, atol=1e-4)


def test_memory_does_not_grow_with_the_set(smooth_images, inception_weights):
    def peak(count: int) -> int:
        images = smooth_images(8, 64, 64, seed=1).repeat(count // 8, axis=0)
        torch.cuda.reset_peak_memory_stats()
        gm.evaluate(images, metrics=["isc"], weights=inception_weights, device="cuda", batch_size=8)
        return torch.cuda.max_memory_allocated()

    peak(64)
    assert peak(512) <= peak(64) + 2**22
