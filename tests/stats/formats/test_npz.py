from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.stats.formats import load_stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need
from support.foreign_stats import adm_npz, draw, mean_and_cov

UNKNOWN_MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
UNKNOWN_BANK = Need(UNKNOWN, UNKNOWN, UNKNOWN, "feature_bank")
INCEPTION, TF1 = "inception-v3.tf2015", "tf1-bilinear-299"


def as_moments(mu: np.ndarray, sigma: np.ndarray) -> Moments:
    return Moments.from_covariance(*(torch.from_numpy(array.astype(np.float64)) for array in (mu, sigma)), None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8"])
def test_mean_and_covariance(dtype: str, save, tmp_path: Path) -> None:
    mu, sigma = (array.astype(dtype) for array in mean_and_cov(draw(60, 12)))
    save(tmp_path / "x.npz", mu=mu, sigma=sigma)

    stats = load_stats(tmp_path / "x.npz")

    assert list(stats.accumulators) == [UNKNOWN_MOMENTS]
    assert stats.side.kind == "mu-sigma npz"
    assert stats.side.stats_file == stats.side.source == str(tmp_path / "x.npz")
    assert (stats.num_samples, stats.side.digest, stats.side.parts, stats.seed) == (None, None, (), None)
    assert stats.extractors == {UNKNOWN: ExtractorRecord(None, None, None, {})}
    assert stats.versions == {}
    assert stats.side.notes == (
        "the file does not say which network and preprocessing its statistics are of",
        "the file does not say how many images its statistics are of",
    )
    held = stats.get(UNKNOWN_MOMENTS)
    assert isinstance(held, Moments) and not held.counted
    other = as_moments(*mean_and_cov(draw(50, 12, 1)))
    expected = frechet_distance(as_moments(mu, (sigma + sigma.T) / 2), other)
    assert frechet_distance(held, other) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_file_that_python_2_wrote(tmp_path: Path) -> None:
    """The published TTUR files have headers with ``3L`` in them, of which numpy warns."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, array in (("mu", np.zeros(3)), ("sigma", np.eye(3))):
            shape = "(3L,)" if array.ndim == 1 else "(3L, 3L)"
            header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
            data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + array.tobytes()
            archive.writestr(f"{name}.npy", data)

    assert load_stats(tmp_path / "x.npz").get(UNKNOWN_MOMENTS).width == 3


@pytest.fixture(scope="module")
def adm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    path = tmp_path_factory.mktemp("adm") / "VIRTUAL_imagenet256_labeled.npz"
    return path, adm_npz(path)


def test_a_reference_file_of_adm(adm: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, arrays = adm
    stats = load_stats(path)

    assert list(stats.accumulators) == [
        Need(INCEPTION, TF1, "2048", "moments"),
        Need(INCEPTION, TF1, "2023", "moments"),
    ]
    assert stats.side.kind == "ADM reference npz"
    assert stats.num_samples is None
    assert stats.extractors == {INCEPTION: ExtractorRecord(None, None, None, {TF1: {}})}
    assert "the images of 'arr_0' are not what these statistics are of" in stats.side.notes[0]
    for need, suffix in zip(stats.accumulators, ("", "_s"), strict=True):
        np.testing.assert_array_equal(stats.get(need).mean().numpy(), arrays[f"mu{suffix}"])
        np.testing.assert_allclose(stats.get(need).covariance().numpy(), arrays[f"sigma{suffix}"], rtol=0, atol=1e-15)


def test_a_reference_file_of_adm_without_a_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=np.zeros(3), sigma=np.eye(3), mu_s=np.zeros(3))
    with pytest.raises(StatisticsError, match=r"'mu', 'mu_s', 'sigma' and lacks 'sigma_s'; ADM's reference files"):
        load_stats(tmp_path / "x.npz")


def test_a_width_that_adm_does_not_have(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=np.zeros(3), sigma=np.eye(3), mu_s=np.zeros(3), sigma_s=np.eye(3))
    with pytest.raises(StatisticsError, match=r"'mu' is 3 wide, and by the file's format .* a feature 2048 wide"):
        load_stats(tmp_path / "x.npz")


def test_images_beside_the_statistics_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=np.zeros(3), sigma=np.eye(3), arr_0=np.zeros((500, 64, 64, 3), np.uint8))
    load_stats(tmp_path / "x.npz")
    tracemalloc.start()
    try:
        load_stats(tmp_path / "x.npz")
        peak = tracemalloc.get_traced_memory()[1]
        with np.load(tmp_path / "x.npz") as file:
            file["arr_0"]
        assert tracemalloc.get_traced_memory()[1] > 6_000_000  # the negative control
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("key", ["feats", "pool_3"])
def test_features(key: str, dtype: type, tmp_path: Path) -> None:
    features = draw(20, 6).astype(dtype)
    np.savez_compressed(tmp_path / "x_kid.npz", **{key: features})

    stats = load_stats(tmp_path / "x_kid.npz")

    assert list(stats.accumulators) == [UNKNOWN_BANK]
    assert stats.side.kind == f"{key} npz"
    assert stats.num_samples == 20
    np.testing.assert_array_equal(stats.get(UNKNOWN_BANK).rows().numpy(), features.astype(np.float32))
    mu, sigma = mean_and_cov(features.astype(np.float64))
    derived = stats.get(UNKNOWN_MOMENTS)
    np.testing.assert_allclose(derived.mean().numpy(), mu, rtol=1e-6)
    np.testing.assert_allclose(derived.covariance().numpy(), sigma, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (
            "ffhq_clean_trainval70k_256.npz",
            "'clean' (Inception, Pillow's antialiased bicubic, as pil-bicubic-f32-299 has it)",
        ),
        ("my_set_legacy_tensorflow_custom_na.npz", "'legacy_tensorflow' (Inception, TensorFlow 1's bilinear"),
        ("cifar10_legacy_pytorch_test_32.npz", "'legacy_pytorch' (Inception, torch's bilinear"),
        ("mydata_clean_clip_vit_b_32_custom_na.npz", "'clean' (CLIP ViT-B/32, as pil-bicubic-crop-224-clip feeds it)"),
    ],
)
def test_what_a_name_of_clean_fid_says_is_a_note(name: str, mode: str, tmp_path: Path) -> None:
    np.savez(tmp_path / name, mu=np.zeros(3), sigma=np.eye(3))

    stats = load_stats(tmp_path / name)

    assert list(stats.accumulators) == [UNKNOWN_MOMENTS]
    assert stats.side.notes[0].startswith(f"by its name, the file may be of clean-fid's mode {mode}")
    assert stats.side.notes[0].endswith("nothing in the file confirms that")


@pytest.mark.parametrize("name", ["clean.npz", "x_clean.npz", "ffhq_clear_trainval_256.npz"])
def test_another_name_says_nothing(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / name, mu=np.zeros(3), sigma=np.eye(3))
    assert not any("clean-fid" in note for note in load_stats(tmp_path / name).side.notes)


def message(path: Path) -> str:
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)
    return str(caught.value)


def test_without_statistics(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(3), mu=np.zeros(3))
    assert message(path) == (
        f"statistics file '{path}': it holds 'mu', 'x'; expected 'mu' and 'sigma', or features as 'feats' or 'pool_3'"
    )
    np.savez(path, arr_0=np.zeros((2, 4, 4, 3), np.uint8))
    assert message(path) == (
        f"statistics file '{path}': it holds 'arr_0', which are images, and no statistics; expected 'mu' and 'sigma', "
        f"or features as 'feats' or 'pool_3'. Give it as a source, 'npz:{path}'"
    )


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_a_truncated_file(fraction: float, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, mu=np.zeros(30), sigma=np.eye(30))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    assert message(path) == (
        f"statistics file '{path}': it is an archive that is damaged or cut short; copy or download it again"
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_inside(save, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save(path, mu=np.zeros(30), sigma=np.random.default_rng(0).random((30, 30)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert message(path).startswith(f"statistics file '{path}' is damaged or cut short (")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path, buffer = tmp_path / "x.npz", io.BytesIO()
    np.save(buffer, np.zeros(4))
    data = buffer.getvalue().replace(b"(4,), }" + b" " * 9, b"(4000000000,), }")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", data)
        archive.writestr("sigma.npy", data)
    assert "it holds 32 bytes of values, its header says" in message(path)
