"""Statistics and images on either side: what is compared, what is refused, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.errors import SourceError, StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.sources.base import ImageSource, SeededSource
from genmetrics.types import Shard
from support.blocks import NET, Blocks, registered_blocks

FD, KID, ISC = f"fd.{NET}", f"kid.{NET}", f"isc.{NET}"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def pixels(smooth_images) -> tuple[np.ndarray, np.ndarray]:
    return smooth_images(30, 20, 20, seed=1), smooth_images(26, 20, 24, seed=2, warmth=0.3)


@pytest.fixture(scope="module")
def saved(pixels, _registered, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("saved")
    paths = folder / "gen.safetensors", folder / "ref.safetensors"
    for images, path in zip(pixels, paths, strict=True):
        gm.compute_stats(images, ["fid", "kid", "isc"], extractor=NET).save(path)
    return paths


def values(report: gm.Report) -> dict[str, float]:
    return {name: result.value for name, result in report.metrics.items()}


def test_saved_statistics_on_either_side_or_both_give_every_digit(pixels, saved):
    from_images = gm.evaluate(*pixels, ["fid", "kid", "isc"], extractor=NET)
    for gen in (pixels[0], saved[0], str(saved[0]), f"stats:{saved[0]}", gm.Stats.load(saved[0])):
        for ref in (pixels[1], saved[1]):
            report = gm.evaluate(gen, ref, ["fid", "kid", "isc"], extractor=NET)
            assert values(report) == values(from_images)
            assert report.gen.digest == from_images.gen.digest


def test_with_both_sides_saved_no_network_is_built(saved):
    before = Blocks.built
    report = gm.evaluate(saved[0], saved[1], ["fid"], extractor=NET)
    assert Blocks.built == before
    assert report.ref is not None
    assert (report.ref.stats_file, report.ref.num_samples) == (str(saved[1]), 26)
    assert report.to_dict()["ref"]["stats_file"] == str(saved[1])


def test_the_evaluator_takes_a_file(pixels, saved):
    ev = gm.Evaluator(ref=saved[1], metrics=["fid"], extractor=NET, device="cpu")
    ev.update(torch.from_numpy(pixels[0]).permute(0, 3, 1, 2))
    assert ev.compute()[FD].value == pytest.approx(gm.evaluate(*saved, ["fid"], extractor=NET)[FD].value, rel=1e-9)


def test_other_splits_and_seeds_can_be_made_of_saved_statistics(pixels, saved):
    """Logits are kept, so that the seed of the splits is chosen when the score is computed."""
    from_images = gm.evaluate(pixels[0], metrics=["isc"], extractor=NET, seed=5)
    assert values(gm.evaluate(saved[0], metrics=["isc"], extractor=NET, seed=5)) == values(from_images)
    assert values(gm.evaluate(saved[0], metrics=["isc"], extractor=NET, seed=6)) != values(from_images)


class TestTheDefaultMetricsOfANetworkWithoutClasses:
    @pytest.fixture
    def bare(self, monkeypatch) -> str:
        info = replace(EXTRACTORS.get(NET), id="bare.v1", features={"12": 12}, logits=None)
        monkeypatch.setitem(EXTRACTORS._entries, info.id, info)
        monkeypatch.setattr(Blocks, "features", info.features, raising=False)
        return info.id

    def test_leave_the_score_out_and_say_so(self, pixels, bare, tmp_path):
        expected = (
            f"of the default metrics isc was left out: it needs class logits, and extractor '{bare}' has none "
            "(outputs: 12)"
        )
        report = gm.evaluate(*pixels, extractor=bare)
        assert list(report.metrics) == [f"fd.{bare}", f"kid.{bare}"]
        assert report.notes == (expected,)
        files = tmp_path / "gen.safetensors", tmp_path / "ref.safetensors"
        for images, path in zip(pixels, files, strict=True):
            gm.compute_stats(images, ["fid"], extractor=bare).save(path)
        from_files = gm.evaluate(*files)
        assert list(from_files.metrics) == [f"fd.{bare}"]
        assert from_files.notes[0] == expected and f"kid.{bare} could not be computed" in from_files.notes[1]
        ev = gm.Evaluator(ref=pixels[1], extractor=bare, device="cpu")
        ev.update(torch.from_numpy(pixels[0]).permute(0, 3, 1, 2))
        assert ev.compute().notes == (expected,)

    def test_with_nothing_left(self, pixels, bare):
        with pytest.raises(
            UsageError, match=r"^the default metric of one set is isc, which needs class .* -m vendi,rke$"
        ):
            gm.evaluate(pixels[0], extractor=bare)

    def test_asked_for_it_is_refused(self, pixels, bare):
        with pytest.raises(UsageError, match="metric 'isc' needs class logits"):
            gm.evaluate(*pixels, ["fid", "isc"], extractor=bare)

    def test_of_a_network_with_classes_nothing_is_said(self, pixels):
        assert gm.evaluate(*pixels, extractor=NET).notes == ()


class TestUnnamedStatistics:
    """An npz of mu and sigma does not say what it is of."""

    @pytest.fixture
    def npz(self, saved, tmp_path) -> Path:
        moments = next(iter(gm.Stats.load(saved[1]).accumulators.values()))
        path = tmp_path / "ref.npz"
        np.savez(path, mu=moments.mean().numpy(), sigma=moments.covariance().numpy())
        return path

    def test_the_asked_metric_says_it_and_the_report_warns(self, pixels, saved, npz):
        report = gm.evaluate(pixels[0], npz, ["fid"], extractor=NET)
        assert report[FD].value == pytest.approx(gm.evaluate(*saved, ["fid"], extractor=NET)[FD].value, rel=1e-12)
        text = " ".join(report[FD].warnings)
        assert (
            "does not say which network, layer and preprocessing its mean and covariance are of; they are taken to be "
            f"those of '{FD}'" in text
        )
        assert "does not say how many images it is of" in text
        assert "do not say with which weights" in text
        assert report.ref is not None and report.ref.num_samples is None
        assert report.to_dict()["ref"]["num_samples"] is None and report.to_dict()["ref"]["digest"] is None

    def test_two_of_them(self, npz):
        assert gm.evaluate(npz, npz, ["fid"], extractor=NET)[FD].value == pytest.approx(0, abs=1e-9)

    def test_the_default_metrics_are_those_that_it_allows(self, pixels, npz):
        report = gm.evaluate(pixels[0], npz, extractor=NET)
        assert list(report.metrics) == [FD, ISC]
        assert any(f"of the default metrics {KID} could not be computed" in note for note in report.warnings)
        assert list(gm.evaluate(npz, npz, extractor=NET).metrics) == [FD]

    def test_asked_for_what_it_lacks(self, pixels, npz):
        with pytest.raises(
            StatisticsError, match=r"hold no feature bank of blocks\.v1/12.*which metric 'kid\.blocks\.v1' needs"
        ):
            gm.evaluate(pixels[0], npz, ["kid"], extractor=NET)

    def test_another_width_is_found_before_any_image_is_read(self, npz, tmp_path):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "broken.png").write_bytes(b"no image")
        with pytest.raises(
            StatisticsError,
            match=r"ref\.npz' holds mean and covariance of 12 dimensions, metric 'fd\.efficientnet-lite0\.in1k' needs",
        ):
            gm.evaluate(tmp_path / "set", npz, ["fid"], extractor="efficientnet-lite0.in1k")

    def test_metrics_of_its_width_are_named(self, tmp_path):
        np.savez(tmp_path / "x.npz", mu=np.zeros(64), sigma=np.eye(64))
        with pytest.raises(StatisticsError, match=r"metrics of that width: fid_64, fid_pytorch_64"):
            gm.evaluate(tmp_path / "x.npz", tmp_path / "x.npz", ["fid"])

    def test_it_is_not_two_things_at_once(self, tmp_path):
        np.savez(tmp_path / "x.npz", mu=np.zeros(64), sigma=np.eye(64))
        with pytest.raises(UsageError, match=r"cannot be that of 'fid_64' and of 'fid_pytorch_64' at once"):
            gm.evaluate(tmp_path / "x.npz", tmp_path / "x.npz", ["fid_64", "fid_pytorch_64"])

    def test_features_serve_every_metric_of_their_layer(self, saved, pixels, tmp_path):
        bank = list(gm.Stats.load(saved[1]).accumulators.values())[1]
        np.savez(tmp_path / "x_kid.npz", feats=bank.rows().numpy())
        report = gm.evaluate(pixels[0], tmp_path / "x_kid.npz", ["fid", "kid"], extractor=NET)
        expected = gm.evaluate(*saved, ["fid", "kid"], extractor=NET)
        assert report[KID].value == expected[KID].value
        assert report[FD].value == pytest.approx(expected[FD].value, rel=1e-9)


class TestWhatDoesNotCompare:
    @pytest.fixture
    def other(self, pixels, tmp_path) -> Path:
        (tmp_path / "scale.txt").write_text("2")
        stats = gm.compute_stats(pixels[1], ["fid"], extractor=NET, weights=tmp_path / "scale.txt")
        stats.save(tmp_path / "other.safetensors")
        return tmp_path / "other.safetensors"

    def test_other_weights(self, saved, other):
        with pytest.raises(
            StatisticsError, match=r"different weights_sha256 of 'blocks\.v1' \(generated 0{64}, reference .*--force"
        ):
            gm.evaluate(saved[0], other, ["fid"], extractor=NET)
        report = gm.evaluate(saved[0], other, ["fid"], extractor=NET, force=True)
        assert any(
            text.startswith("forced: the two sides have different weights_sha256") for text in report[FD].warnings
        )

    def test_other_backends_where_features_are_rounded(self, saved):
        """Where they are exact, backends agree; where a side is of several, it is not of one."""

        def report(precision, gen, ref):
            sides = []
            for path, backend in zip(saved, (gen, ref), strict=True):
                stats = gm.Stats.load(path)
                records = {
                    name: replace(record, precision=precision, backend=backend)
                    for name, record in stats.extractors.items()
                }
                sides.append(replace(stats, extractors=records))
            return [text for text in gm.evaluate(*sides, ["fid"], extractor=NET)[FD].warnings if "backend" in text]

        assert report("exact", "openvino", "torch") == report("bf16", "torch", "torch") == []
        assert report("bf16", "torch", None) == []
        for gen, ref in (("openvino", "torch"), ("torch", "reference"), *[("openvino, torch",) * 2]):
            [text] = report("bf16", gen, ref)
            assert f"in bf16 on more than one backend (generated {gen}, reference {ref})" in text
            assert text.endswith("compute both sides with the same --backend, or with --precision exact")

    def test_another_preprocessing(self, pixels, inception_weights, tmp_path):
        few = pixels[1][:3]
        stats = gm.compute_stats(few, ["fid_pytorch_64"], weights=inception_weights)
        stats.save(tmp_path / "torch.safetensors")
        with pytest.raises(StatisticsError) as caught:
            gm.evaluate(few, tmp_path / "torch.safetensors", ["fid_64"], weights=inception_weights)
        assert str(caught.value) == (
            f"reference '{tmp_path}/torch.safetensors' holds features of preprocess 'torch-bilinear-299', metric "
            "'fid_64' needs 'tf1-bilinear-299'; the number would not be comparable. Ask for 'fid_pytorch_64', or "
            "rebuild it with `genmetrics stats build SRC -o FILE -m fid_64` (--force computes it all the same, with a "
            "warning)"
        )
        forced = gm.evaluate(few, tmp_path / "torch.safetensors", ["fid_64"], weights=inception_weights, force=True)
        assert any(
            "forced: reference" in text and "in place of 'tf1-bilinear-299'" in text
            for text in forced["fid_64"].warnings
        )

    def test_another_width_is_not_forced(self, saved):
        with pytest.raises(StatisticsError, match=r"holds features of extractor 'blocks\.v1'"):
            gm.evaluate(saved[0], saved[1], ["fid"], force=True)


class TestFilesOfBoth:
    """An ADM reference holds statistics of one set and images of another."""

    @pytest.fixture
    def adm(self, pixels, tmp_path) -> Path:
        rng = np.random.default_rng(0)
        arrays = {}
        for key, d in (("", 2048), ("_s", 2023)):
            arrays[f"mu{key}"] = rng.standard_normal(d)
            arrays[f"sigma{key}"] = np.eye(d)
        np.savez(tmp_path / "VIRTUAL.npz", arr_0=pixels[1], **arrays)
        return tmp_path / "VIRTUAL.npz"

    def test_statistics_are_used_and_the_rest_comes_from_the_images(self, adm, pixels, inception_weights):
        gen = gm.compute_stats(pixels[0][:3], ["fid", "fid_64"], weights=inception_weights)
        report = gm.evaluate(gen, adm, ["fid", "fid_64"], weights=inception_weights)
        own = gm.evaluate(gen, pixels[1], ["fid", "fid_64"], weights=inception_weights)
        assert report["fid_64"].value == own["fid_64"].value
        assert report["fid"].value != own["fid"].value
        assert "need not be the images that those are of" in " ".join(report.warnings)

    def test_another_width_comes_from_the_images(self, pixels, tmp_path):
        np.savez(tmp_path / "x.npz", arr_0=pixels[1], mu=np.zeros(64), sigma=np.eye(64))
        report = gm.evaluate(pixels[0], tmp_path / "x.npz", ["fid"], extractor=NET)
        assert report[FD].value == gm.evaluate(*pixels, ["fid"], extractor=NET)[FD].value

    def test_its_images_alone(self, adm, pixels):
        images = gm.evaluate(pixels[0], f"npz:{adm}", ["fid"], extractor=NET)
        assert images[FD].value == gm.evaluate(*pixels, ["fid"], extractor=NET)[FD].value


class TestWhatIsGiven:
    def test_the_prefix_is_for_files_that_exist(self, tmp_path):
        with pytest.raises(SourceError, match=r"'none\.npz' does not exist"):
            gm.evaluate("stats:none.npz", metrics=["isc"], extractor=NET)
        with pytest.raises(UsageError, match="'stats:' has nothing behind it"):
            gm.evaluate("stats:", metrics=["isc"], extractor=NET)

    def test_a_path_that_looks_like_the_prefix(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("stats:x.npz").write_bytes(b"")
        with pytest.raises(
            SourceError, match=r"give '\./stats:x\.npz' for the first or 'stats:\./x\.npz' for the second"
        ):
            gm.evaluate("stats:x.npz", metrics=["isc"], extractor=NET)

    def test_a_subset_of_statistics_cannot_be_drawn(self, saved):
        with pytest.raises(UsageError, match="'--num' chooses images, and the generated side is given as statistics"):
            gm.evaluate(saved[0], saved[1], ["fid"], extractor=NET, num=3)

    def test_statistics_of_statistics(self, saved):
        with pytest.raises(UsageError, match="statistics already"):
            gm.compute_stats(saved[0], ["fid"], extractor=NET)


class Noise(SeededSource):
    """Images of noise, as many as asked for, or without a known end."""

    kind, description = "noise", "noise"

    def __init__(self, count: int | None, seed: int | None = None) -> None:
        self.count, self.seed = count, seed

    def seeded(self, seed: int) -> ImageSource:
        return self if self.seed is not None else Noise(self.count, seed)

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("a stream")
        return self.count

    def fingerprint(self):
        from genmetrics.types import Fingerprint

        return Fingerprint("noise", "noise", None)

    def batches(self, shard, spec):
        from genmetrics.sources.base import ImageBatch

        stop = 40 if spec.selection is None else len(spec.selection)
        for index in range(min(stop, self.count or 40)):
            if index % shard.count == shard.index:
                image = np.random.default_rng([self.seed, index]).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
                yield ImageBatch(torch.from_numpy(image), torch.tensor([index]))


def test_what_either_side_says_of_its_network_is_said(pixels, saved, tmp_path):
    moments = next(iter(gm.Stats.load(saved[0]).accumulators.values()))
    np.savez(tmp_path / "gen.npz", mu=moments.mean().numpy(), sigma=moments.covariance().numpy())
    (tmp_path / "scale.txt").write_text("1")
    for sides in ((tmp_path / "gen.npz", pixels[1]), (pixels[1], tmp_path / "gen.npz")):
        report = gm.evaluate(*sides, ["fid"], extractor=NET, precision="bf16", weights=tmp_path / "scale.txt")
        assert str(report[FD].protocol).endswith("/bf16")
        text = " ".join(report[FD].warnings)
        assert "ran in bf16" in text and "are not the published ones" in text
        assert report.extractors[NET].precision == "bf16"


def test_transparency_that_became_two_things_is_said(pixels):
    half = np.concatenate([pixels[0], np.zeros((*pixels[0].shape[:3], 1), np.uint8)], axis=3)
    ref = gm.compute_stats(half, ["fid"], extractor=NET, alpha="white")
    with pytest.warns(gm.GenmetricsWarning, match="which was dropped"):
        report = gm.evaluate(half[:9], ref, ["fid"], extractor=NET)
    assert any("became 'drop' on the generated and 'white' on the reference side" in text for text in report.warnings)


def test_labels_are_not_for_statistics(pixels, saved):
    with pytest.raises(UsageError, match="which is statistics already; give them when the statistics are built"):
        gm.evaluate(pixels[0], saved[1], ["fid"], extractor=NET, labels={"ref": "folders"})


def test_weights_for_no_network(pixels, saved, tmp_path):
    (tmp_path / "scale.txt").write_text("1")
    with pytest.raises(StatisticsError, match=r"statistics have different weights_sha256 .* leave out --weights"):
        gm.evaluate(*saved, ["fid"], extractor=NET, weights=tmp_path / "scale.txt")
    own = tmp_path / "own.safetensors"
    gm.compute_stats(pixels[0], ["fid"], extractor=NET, weights=tmp_path / "scale.txt").save(own)
    assert gm.evaluate(own, own, ["fid"], extractor=NET, weights=tmp_path / "scale.txt")[FD].value < 1e-9


def test_the_network_is_taken_from_the_files(saved):
    report = gm.evaluate(*saved)
    assert list(report.metrics) == [FD, KID, ISC]


def test_statistics_beside_images_need_no_network(tmp_path):
    """No weights of Inception are here."""
    arrays = {f"{name}{end}": value for end, d in (("", 2048), ("_s", 2023)) for name, value in _gaussian(d).items()}
    np.savez(tmp_path / "adm.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8), **arrays)
    assert gm.evaluate(tmp_path / "adm.npz", tmp_path / "adm.npz", ["fid"])["fid"].value == pytest.approx(0, abs=1e-6)


def _gaussian(width: int) -> dict[str, np.ndarray]:
    return {"mu": np.arange(float(width)), "sigma": np.eye(width)}


def test_a_forced_comparison_is_of_a_protocol_of_its_own(saved, pixels):
    bf16 = gm.compute_stats(pixels[1], ["fid"], extractor=NET, precision="bf16")
    report = gm.evaluate(saved[0], bf16, ["fid"], extractor=NET, force=True)
    assert str(report[FD].protocol) == f"{NET}/12/squash-16/bf16/forced"


def test_a_stream_with_bad_images_merges(pixels):
    class Torn:
        def __iter__(self):
            for number, image in enumerate(pixels[0][:8]):
                floats = torch.from_numpy(image / 255).permute(2, 0, 1)
                yield floats * torch.nan if number == 2 else floats

    source = gm.open_source(Torn(), value_range=(0, 1))
    torn = gm.compute_stats(source, ["fid", "kid"], extractor=NET, on_bad_image="skip")
    assert torn.side.parts[0].span == 8
    assert torn.merge(gm.compute_stats(pixels[1], ["fid", "kid"], extractor=NET)).num_samples == 7 + 26


def test_a_shard_of_what_cannot_be_told_is_refused_before_it_is_read(pixels):
    def images():
        raise AssertionError("read")
        yield

    for source in (Noise(20), images()):
        with pytest.raises(UsageError, match=r"cannot be told from another set|is a stream of unknown length"):
            gm.compute_stats(source, ["fid"], extractor=NET, shard=Shard(0, 2))


def test_the_two_sides_draw_with_different_seeds():
    report = gm.evaluate(Noise(20), Noise(20), ["fid"], extractor=NET)
    assert report.ref is not None
    assert report.gen.digest != report.ref.digest
    fixed = gm.evaluate(Noise(20, 5), Noise(20, 5), ["fid"], extractor=NET)
    assert any("the same images" in text for text in fixed.warnings)


def test_a_stream_of_unknown_length_is_read_to_its_end_or_to_num():
    assert gm.evaluate(Noise(None), metrics=["isc"], extractor=NET).gen.num_samples == 40
    report = gm.evaluate(Noise(None), metrics=["isc"], extractor=NET, num=15)
    assert report.gen.num_samples == 15
    assert report.to_dict()["gen"]["selection"] == {"num": 15, "of": None, "seed": None}
    with pytest.raises(SourceError, match="gave 40 images where 50 were asked for"):
        gm.evaluate(Noise(None), metrics=["isc"], extractor=NET, num=50)
