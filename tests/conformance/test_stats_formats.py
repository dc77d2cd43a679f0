"""Statistics files of pytorch-fid 0.3.0, torch-fidelity 0.4.0 and clean-fid 0.1.35, written and read by themselves.

Their own functions write a file of given features; only the network is left out. We read it, and they read ours. The
Fréchet distance of a file is the one of the arrays that went into it to 1e-12 relative, and the peer's own to 2e-6.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.stats.formats import is_statistics, load_stats, write_npz
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need, SideRecord
from support.foreign_stats import draw, mean_and_cov
from support.peers import import_peer

pytorch_fid = import_peer("pytorch_fid.fid_score")
fidelity_fid = import_peer("torch_fidelity.metric_fid")
fidelity_utils = import_peer("torch_fidelity.utils")
fidelity_registry = import_peer("torch_fidelity.registry")
cleanfid = import_peer("cleanfid")
cleanfid_fid = import_peer("cleanfid.fid")

THE_SAME, TO_THE_PEER = 1e-12, 2e-6
UNKNOWN_MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
FID_64 = Need("inception-v3.tf2015", "tf1-bilinear-299", "64", "moments")
BANK_64 = Need("inception-v3.tf2015", "tf1-bilinear-299", "64", "feature_bank")
GEN, REF, OTHER = draw(200, 64, 1), draw(180, 64, 2), draw(180, 64, 3)


def moments(features: np.ndarray) -> Moments:
    """Of what mean and covariance the peers compute, and nothing else."""
    mu, sigma = (torch.from_numpy(array.astype(np.float64)) for array in mean_and_cov(features))
    return Moments.from_covariance(mu, (sigma + sigma.T) / 2, None)


def ours(features: np.ndarray) -> Stats:
    held, bank = Moments(64), FeatureBank(64)
    for accumulator in (held, bank):
        accumulator.update(torch.from_numpy(features), torch.arange(len(features)))
    side = SideRecord("images", "folder", len(features), "ab" * 32)
    record = ExtractorRecord("cd" * 32, True, "exact", {FID_64.preprocess: {}})
    return Stats({FID_64: held, BANK_64: bank}, side, {FID_64.extractor: record}, seed=2020)


def relative(a: float, b: float) -> float:
    return abs(a - b) / abs(b)


@contextmanager
def scipy_warnings_of_the_peer() -> Iterator[None]:
    """They pass sqrtm an argument that SciPy deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        yield


def check(stats: Stats, need: Need, features: np.ndarray, theirs: float) -> None:
    """The distance of GEN to what was read, against the arrays, the peer, and another set."""
    found = frechet_distance(moments(GEN), stats.get(need))
    assert relative(found, frechet_distance(moments(GEN), moments(features))) <= THE_SAME
    assert relative(found, theirs) <= TO_THE_PEER
    assert relative(frechet_distance(moments(OTHER), stats.get(need)), theirs) > 100 * TO_THE_PEER


class TestPytorchFid:
    class Network:
        BLOCK_INDEX_BY_DIM = MappingProxyType({64: 0})

        def __init__(self, blocks: list[int]) -> None:
            pass

        def to(self, device: str) -> None:
            pass

    def theirs(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        return pytorch_fid.compute_statistics_of_path(str(path), None, 50, 64, "cpu")

    def distance(self, path: Path) -> float:
        features = GEN.astype(np.float64)
        with scipy_warnings_of_the_peer():
            return float(pytorch_fid.calculate_frechet_distance(*mean_and_cov(features), *self.theirs(path)))

    def test_we_read_theirs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pytorch_fid, "InceptionV3", self.Network)
        # As get_activations gives them: float64.
        monkeypatch.setattr(pytorch_fid, "get_activations", lambda *_: REF.astype(np.float64))
        path = tmp_path / "ref.npz"
        pytorch_fid.save_fid_stats([str(tmp_path), str(path)], 50, "cpu", 64)

        assert is_statistics(path)
        stats = load_stats(path)
        assert stats.side.kind == "mu-sigma npz"
        check(stats, UNKNOWN_MOMENTS, REF.astype(np.float64), self.distance(path))

    def test_they_read_ours(self, tmp_path: Path) -> None:
        write_npz(ours(REF), tmp_path / "ref.npz")

        mu, sigma = self.theirs(tmp_path / "ref.npz")

        assert mu.dtype == sigma.dtype == np.float64
        check(load_stats(tmp_path / "ref.npz"), FID_64, REF.astype(np.float64), self.distance(tmp_path / "ref.npz"))


class TestTorchFidelity:
    NAME = "inception-v3-compat"

    @pytest.fixture
    def extractor(self) -> SimpleNamespace:
        assert self.NAME in fidelity_registry.FEATURE_EXTRACTORS_REGISTRY
        return SimpleNamespace(get_name=lambda: self.NAME, get_requested_features_list=lambda: ["64"])

    def written(self, features: np.ndarray, extractor: SimpleNamespace, root: Path, name: str) -> dict:
        return fidelity_fid.fid_featuresdict_to_statistics_cached(
            {"64": torch.from_numpy(features)}, name, extractor, "64", cache_root=str(root), verbose=False
        )

    def test_we_read_its_statistics(self, extractor: SimpleNamespace, tmp_path: Path) -> None:
        ref = self.written(REF, extractor, tmp_path, "cifar10-train")
        gen = self.written(GEN, extractor, tmp_path, "gen")
        theirs = fidelity_fid.fid_statistics_to_metric(gen, ref, False)["frechet_inception_distance"]
        path = tmp_path / f"cifar10-train-{self.NAME}-stat-fid-64.pt"

        stats = load_stats(path)

        assert is_statistics(path)
        assert stats.side.kind == "torch-fidelity statistics"
        check(stats, FID_64, REF, theirs)
        # What its own reader finds in the file.
        again = self.written(OTHER, extractor, tmp_path, "cifar10-train")
        np.testing.assert_array_equal(stats.get(FID_64).mean().numpy(), again["mu"].astype(np.float64))

    def test_we_read_its_features(self, extractor: SimpleNamespace, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(
            fidelity_utils, "extract_featuresdict_from_input_id", lambda *_, **__: {"64": torch.from_numpy(REF)}
        )
        fidelity_utils.extract_featuresdict_from_input_id_cached(
            1, extractor, input1=str(tmp_path), input1_cache_name="ref", cache_root=str(tmp_path), verbose=False
        )
        path = tmp_path / f"ref-{self.NAME}-features-64.pt"

        stats = load_stats(path)

        assert is_statistics(path)
        assert stats.side.kind == "torch-fidelity features"
        np.testing.assert_array_equal(stats.get(BANK_64).rows().numpy(), REF)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestCleanFid:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Its folder of statistics, which lies where the package lies."""
        monkeypatch.setattr(cleanfid, "__file__", str(tmp_path / "__init__.py"))
        (tmp_path / "stats").mkdir()
        return tmp_path / "stats"

    def read(self, metric: str) -> tuple[np.ndarray, np.ndarray] | np.ndarray:
        return cleanfid_fid.get_reference_statistics("mine", "na", mode="clean", split="custom", metric=metric)

    def distance(self) -> float:
        with scipy_warnings_of_the_peer():
            return float(cleanfid_fid.frechet_distance(*mean_and_cov(GEN), *self.read("FID")))

    def test_we_read_theirs(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cleanfid_fid, "build_feature_extractor", lambda *_: None)
        monkeypatch.setattr(cleanfid_fid, "get_folder_features", lambda *_, **__: REF)
        cleanfid_fid.make_custom_stats("mine", "images", device=torch.device("cpu"), verbose=False)
        path = folder / "mine_clean_custom_na.npz"

        stats = load_stats(path)

        assert is_statistics(path)
        check(stats, UNKNOWN_MOMENTS, REF, self.distance())
        assert "clean-fid's mode 'clean'" in stats.side.notes[0]
        bank = load_stats(folder / "mine_clean_custom_na_kid.npz").get(Need(UNKNOWN, UNKNOWN, UNKNOWN, "feature_bank"))
        np.testing.assert_array_equal(bank.rows().numpy(), REF)

    def test_they_read_ours(self, folder: Path) -> None:
        write_npz(ours(REF), folder / "mine_clean_custom_na.npz")
        write_npz(ours(REF), folder / "mine_clean_custom_na_kid.npz")

        check(load_stats(folder / "mine_clean_custom_na.npz"), FID_64, REF.astype(np.float64), self.distance())
        feats = self.read("KID")
        assert feats.dtype == np.float32
        np.testing.assert_array_equal(feats, REF)
        np.random.seed(0)  # noqa: NPY002  # the peer draws from the global state
        theirs = cleanfid_fid.kernel_distance(feats, GEN, num_subsets=3, max_subset_size=50)
        np.random.seed(0)  # noqa: NPY002
        assert theirs == cleanfid_fid.kernel_distance(REF, GEN, num_subsets=3, max_subset_size=50)
