"""What is shown beyond figures: planted images are found, no figure changes, and what is missing says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.engine import diagnostics as diagnostics_module
from genmetrics.engine import galleries
from genmetrics.metrics import METRICS
from genmetrics.metrics import distance_curve as curve_module
from genmetrics.metrics.frechet import FrechetDistance, frechet_distance
from genmetrics.report.diagnostics import SECTIONS, Diagnostics
from genmetrics.sources.generator import GeneratorSource
from genmetrics.stats.stats import Stats
from support.blocks import NET, registered_blocks
from support.pictures import pixels_of

LITE = "efficientnet-lite0.in1k"
FD = f"fd.{NET}"
GALLERIES = ("raises", "unrealistic", "uncovered", "copied")


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return smooth_images(130, 16, 16, seed=1, warmth=0.4), smooth_images(110, 16, 16, seed=2)


def run(gen: object, ref: object, metrics: object = "fid", **options) -> gm.Report:
    options = {"extractor": NET, "device": "cpu", "workers": 0, "diagnostics": True, **options}
    return gm.evaluate(gen, ref, metrics, **options)


def shown(report: gm.Report) -> Diagnostics:
    found = report.diagnostics
    assert Diagnostics.from_dict(json.loads(report.to_json())["diagnostics"], "a report") == found
    for section in SECTIONS:
        assert (getattr(found, section) is None) == (section in found.absent), section
    return found


def features(images: np.ndarray) -> np.ndarray:
    """The rows that the network has of them, in float64."""
    stats = gm.compute_stats(images, ["kid"], extractor=NET, device="cpu", workers=0)
    (bank,) = stats.accumulators.values()
    return bank.rows().double().numpy()


def written(folder: Path, images: np.ndarray, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{prefix}{number:03d}.png")
    return folder


class TestPlantedImages:
    """On a network that knows photographs, from folders, as a person would give them."""

    def test_a_copy_is_shown_beside_what_it_is_of(self, tmp_path, smooth_images):
        ref = smooth_images(40, 48, 48, seed=2)
        gen = np.concatenate((smooth_images(30, 48, 48, seed=1), ref[17:18]))
        report = run(written(tmp_path / "gen", gen), written(tmp_path / "ref", ref), ["fid"], extractor=LITE)
        first, second = shown(report).copied.pictures[:2]
        assert (first.name, first.nearest.name) == ("030.png", "017.png")
        assert first.image == first.nearest.image != ""
        assert first.figures["ratio"] < 1e-3 < second.figures["ratio"]
        assert first.size == first.nearest.size == (48, 48)

    def test_noise_among_photographs_is_at_the_top(self, tmp_path, smooth_images):
        noise = np.random.default_rng(0).integers(0, 256, (5, 80, 72, 3), dtype=np.uint8)
        gen = written(tmp_path / "gen", smooth_images(40, 80, 72, seed=1))
        written(gen, noise, "noise-")
        ref = written(tmp_path / "ref", smooth_images(40, 80, 72, seed=2))
        found = shown(run(gen, ref, ["fid"], extractor=LITE))
        for gallery in (found.raises, found.unrealistic):
            assert {picture.name for picture in gallery.pictures[:5]} == {
                f"noise-{number:03d}.png" for number in range(5)
            }
            assert gallery.of == 45
        assert all(picture.image.startswith("data:image/jpeg;") for picture in found.raises.pictures)
        assert found.raises.pictures[0].size == (72, 80)

    def test_a_class_that_is_missing_is_uncovered(self, tmp_path, smooth_images):
        rng = np.random.default_rng(0)
        boards = np.kron(np.indices((6, 6)).sum(axis=0) % 2, np.ones((8, 8)))[None, :, :, None] * 200
        boards = np.clip(boards + rng.integers(0, 50, (26, 48, 48, 3)), 0, 255).astype(np.uint8)
        gen = written(tmp_path / "gen" / "waves", smooth_images(40, 48, 48, seed=1)).parent
        ref = written(tmp_path / "ref" / "waves", smooth_images(40, 48, 48, seed=2)).parent
        written(ref / "boards", boards)
        gallery = shown(run(gen, ref, ["fid"], extractor=LITE, labels="folders")).uncovered
        assert [picture.label for picture in gallery.pictures] == ["boards"] * 24
        assert gallery.of == 66
        assert all(picture.figures["ratio"] > 1 and picture.nearest.label == "waves" for picture in gallery.pictures)
        assert all(picture.name.startswith("boards") for picture in gallery.pictures)


class TestAgainstTheRowsThemselves:
    def test_raises_are_those_whose_absence_lowers_the_distance_most(self, images):
        """Influences are of the first order: figures agree to some percent, and so do all but the closest ranks."""
        x, y = features(images[0]), features(images[1])
        whole = by_definition(x, y)
        change = np.array([whole - by_definition(np.delete(x, index, axis=0), y) for index in range(len(x))])
        found = shown(run(*images)).raises
        order = [picture.index for picture in found.pictures]
        expected = np.argsort(-change)[:24]
        assert order[0] == expected[0]
        assert len(set(order) & set(expected)) >= 22
        assert np.corrcoef([picture.figures["influence"] for picture in found.pictures], change[order])[0, 1] > 0.97

    def test_nearness_is_that_of_all_distances(self, images):
        x, y = torch.from_numpy(features(images[0])), torch.from_numpy(features(images[1]))
        across, within = torch.cdist(x, y), torch.cdist(y, y).fill_diagonal_(torch.inf)
        found = shown(run(*images))
        radius = within.sort(dim=1).values[:, 2]
        uncovered = across.amin(dim=0) / radius
        assert [picture.index for picture in found.uncovered.pictures] == uncovered.argsort(descending=True)[
            :24
        ].tolist()
        copying = across.amin(dim=1) / within.amin(dim=1)[across.argmin(dim=1)]
        assert [picture.index for picture in found.copied.pictures] == copying.argsort()[:16].tolist()
        for picture in found.copied.pictures:
            assert picture.nearest.index == int(across[picture.index].argmin())
            assert picture.figures["distance"] == pytest.approx(float(across[picture.index].min()), rel=1e-6)
        for picture in found.uncovered.pictures:
            assert picture.nearest.index == int(across[:, picture.index].argmin())
        small = radius < radius.quantile(0.5)
        realism = (radius / across)[:, small].amax(dim=1)
        assert [picture.index for picture in found.unrealistic.pictures] == realism.argsort()[:24].tolist()

    def test_curve_spectra_and_map(self, images):
        found = shown(run(*images, error_bars="off"))
        x, y = features(images[0]), features(images[1])
        assert found.curve.sizes[-1] == 130
        assert found.curve.values[-1] == run(*images, error_bars="off")[FD].value
        for side, rows in ((found.spectra.gen, x), (found.spectra.ref, y)):
            expected = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
            np.testing.assert_allclose(side, expected[: len(side)], rtol=1e-8)
        assert found.spectra.ranks == tuple(range(1, 13))
        axes = np.linalg.svd(y - y.mean(axis=0), full_matrices=False)[2][:2]
        axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
        for cloud, rows in ((found.projection.gen, x), (found.projection.ref, y)):
            expected = (rows - y.mean(axis=0)) @ axes.T
            np.testing.assert_allclose(cloud.points, expected, atol=1e-6)
            np.testing.assert_allclose(cloud.centre, expected.mean(axis=0), atol=1e-9)
            (xx, xy), (_, yy) = np.cov(expected.T)
            np.testing.assert_allclose(cloud.covariance, (xx, xy, yy), atol=1e-9)
        values = np.linalg.eigvalsh(np.cov(y.T))[::-1]
        np.testing.assert_allclose(found.projection.explained, values[:2] / values.sum(), rtol=1e-9)

    def test_classes_add_up_to_their_images(self, tmp_path, images):
        for name, part in (("cold", slice(0, 50)), ("warm", slice(50, 130))):
            written(tmp_path / name, images[0][part])
        report = run(tmp_path, images[1], ["fid", "fid_influence"], labels={"gen": "folders"})
        table = shown(report).classes
        assert (list(table["class"]), list(table["num_gen"])) == (["cold", "warm"], [50, 80])
        single = report[f"fd_influence.{NET}"].per_image["influence"]
        np.testing.assert_allclose(table["influence"], [sum(single[:50]), sum(single[50:])], rtol=1e-9, atol=1e-12)
        assert shown(report).raises.pictures[0].figures["influence"] == max(single)


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    factors = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (x, y)]
    apart = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + sum(np.square(factor).sum() for factor in factors)
    return apart - 2 * np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()


class TestGalleries:
    def test_no_image_is_shown_twice(self, images):
        gen = np.concatenate((images[0][:20], images[0][:20], images[0][:1].repeat(30, axis=0)))
        ref = np.concatenate((images[1][:40], images[1][:40]))
        found = shown(run(gen, ref))
        rows = {"gen": features(gen), "ref": features(ref)}
        for section in GALLERIES:
            side = rows["ref" if section == "uncovered" else "gen"]
            pictures = getattr(found, section).pictures
            assert pictures
            indices = [picture.index for picture in pictures]
            assert len(np.unique(side[indices], axis=0)) == len(indices), section
        assert found.raises.of == 70

    def test_a_page_has_so_many(self, images):
        found = shown(run(*images))
        assert [len(getattr(found, section).pictures) for section in GALLERIES] == [24, 24, 24, 16]
        assert all(picture.nearest is None for picture in found.raises.pictures)
        assert len(run(*images).to_json()) < 400_000

    def test_copies_of_the_reference_have_no_infinite_figure(self, images):
        gen = np.concatenate((images[0][:30], images[1][:30]))
        found = shown(run(gen, images[1]))
        assert {picture.figures["ratio"] for picture in found.copied.pictures} == {0.0}
        # Whatever it shows can be written as JSON; a copy at the centre of a ball has no realism that could be.
        figures = [figure for picture in found.unrealistic.pictures for figure in picture.figures.values()]
        assert len(figures) == 72 and np.isfinite(figures).all()

    def test_of_many_images_some_are_compared(self, images, monkeypatch):
        monkeypatch.setattr(galleries, "_MOST_NEIGHBOURS", 100)
        report = run(*images)
        found = shown(report)
        assert (found.raises.of, found.unrealistic.of, found.uncovered.of, found.copied.of) == (130, 100, 100, 100)
        assert report.notes[-1] == (
            "for the galleries 100 of the 130 generated and 100 of the 110 reference images were compared with one "
            "another, drawn with seed 2020"
        )
        drawn = {side: galleries.chosen_places(count, 2020) for side, count in (("gen", 130), ("ref", 110))}
        x, y = (torch.from_numpy(features(side)) for side in images)
        across = torch.cdist(x[drawn["gen"]], y[drawn["ref"]])
        for picture in found.copied.pictures:
            at = drawn["gen"].tolist().index(picture.index)
            assert picture.nearest.index == int(drawn["ref"][across[at].argmin()])
        monkeypatch.setattr(galleries, "_MOST_NEIGHBOURS", 120)
        assert "for the galleries 120 of the 130 generated images were compared" in run(*images).notes[-1]

    def test_pictures_are_of_the_images_that_were_chosen(self, tmp_path, images):
        """With a draw, a bad image and a crop, names, classes and pixels are still of one image."""
        folder = written(tmp_path / "gen", np.kron(images[0], np.ones((1, 2, 2, 1), np.uint8)))
        (folder / "000.png").write_bytes(b"no image")
        found = shown(run(folder, images[1], num=100, crop="square-16", on_bad_image="skip", seed=5))
        for picture in (*found.raises.pictures, *found.copied.pictures):
            image = np.asarray(Image.open(folder / picture.name)).astype(int)
            small = image.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
            assert np.abs(pixels_of(picture.image) - small).mean() < 2, picture.name
        assert found.metric == f"{FD}.square-16"


class TestNoFigureChanges:
    METRICS = ("fid", "kid", "isc", f"prdc.{NET}", "fid_influence", "realism")

    @pytest.mark.parametrize("error_bars", ["on", "off", "auto"])
    @pytest.mark.parametrize("count", [130, 40])
    def test_of_images(self, images, error_bars, count):
        gen = images[0][:count]
        with_them, without = (
            run(gen, images[1], self.METRICS, error_bars=error_bars, diagnostics=wanted) for wanted in (True, False)
        )
        ours, theirs = with_them.to_dict(), without.to_dict()
        assert list(ours.pop("diagnostics")) and "diagnostics" not in theirs
        assert set(ours.pop("seconds")) - set(theirs.pop("seconds")) == {"diagnostics"}
        assert (ours.pop("command"), theirs.pop("command")) == (None, None)
        assert ours == theirs
        for name in with_them:
            assert with_them[name].per_image == without[name].per_image

    @pytest.mark.parametrize("kept", [["fid"], ["fid", "kid"]], ids=["moments", "features"])
    def test_of_statistics(self, images, kept, tmp_path):
        stats = gm.compute_stats(images[1], kept, extractor=NET, device="cpu", error_bars="on")
        for metrics in (["fid"], kept):
            ours, theirs = (
                run(images[0], stats, metrics, error_bars="on", diagnostics=wanted).to_dict()
                for wanted in (True, False)
            )
            for part in ("metrics", "gen", "ref", "notes", "reused", "extractors"):
                assert ours[part] == theirs[part], part

    def test_nothing_is_computed_twice(self, images, monkeypatch):
        calls = []

        def counting(*arguments: object) -> float:
            calls.append(arguments)
            return frechet_distance(*arguments)

        for module in (curve_module, diagnostics_module):
            monkeypatch.setattr(module, "frechet_distance", counting)
        monkeypatch.setattr(diagnostics_module, "influence_function", lambda *_: pytest.fail("it is known"))
        report = run(*images, ["fid", "fid_influence"], error_bars="on")
        assert len(calls) == 12
        curve = shown(report).curve
        assert curve.values[-2] == pytest.approx(np.mean(report[FD].replicates["gen"]), rel=1e-12)
        assert curve.limit_low < curve.limit < curve.limit_high
        assert curve.limit + curve.slope / 130 == pytest.approx(report[FD].value, rel=1e-12)

    @pytest.mark.parametrize("metric", ["prdc", "realism", "nearest", "mifid"])
    def test_a_metrics_pass_over_the_distances_is_enough(self, images, metric, monkeypatch):
        expected = shown(run(*images))
        monkeypatch.setattr(galleries, "nearness", lambda *_: pytest.fail("it is known"))
        found = shown(run(*images, ["fid", f"{metric}.{NET}", "kid"]))
        for section in GALLERIES:
            assert getattr(found, section) == getattr(expected, section)

    @pytest.mark.parametrize("most", [100, 120])
    def test_a_metric_of_all_images_does_not_decide_which_are_shown(self, images, most, monkeypatch):
        monkeypatch.setattr(galleries, "_MOST_NEIGHBOURS", most)
        alone, beside = run(*images), run(*images, ["fid", f"prdc.{NET}"])
        assert shown(alone).copied == shown(beside).copied
        assert alone.notes[-1] == beside.notes[-1]

    def test_a_metric_of_other_features_is_none_of_it(self, images):
        other = replace(METRICS.get("prdc"), id="of_logits", extractor=NET, feature="logits", preprocess="squash-16")
        alone, beside = (
            gm.evaluate(*images, metrics, device="cpu", diagnostics=True, workers=0) for metrics in ([FD], [FD, other])
        )
        assert replace(shown(alone), absent={}) == replace(shown(beside), absent={})


class TestWhatItIsOf:
    @pytest.mark.parametrize(
        ("metrics", "metric", "features"),
        [
            (["kid", "fid"], FD, f"{NET}/12/squash-16"),
            (["isc", f"prdc.{NET}"], FD, f"{NET}/12/squash-16"),
            (["fid_influence"], FD, f"{NET}/12/squash-16"),
        ],
    )
    def test_features(self, images, metrics, metric, features):
        found = shown(run(*images, metrics))
        assert (found.metric, found.features) == (metric, features)
        assert found.curve.values[-1] == pytest.approx(run(*images, ["fid"], diagnostics=False)[FD].value, rel=1e-12)

    def test_the_first_distance_is_taken(self, images):
        other = replace(METRICS.get("fid"), id="logits", extractor=NET, feature="logits", preprocess="squash-16")
        for order in (1, -1):
            report = gm.evaluate(*images, [other, f"fd.{NET}"][::order], device="cpu", diagnostics=True, workers=0)
            assert shown(report).metric == next(iter(report))

    def test_a_distance_without_an_id_says_what_it_is_of(self, images):
        kid = replace(METRICS.get("kid"), id="kid_of_logits", extractor=NET, feature="logits", preprocess="squash-16")
        report = gm.evaluate(*images, [kid], device="cpu", diagnostics=True, workers=0)
        assert shown(report).metric == f"fd of {NET}/logits/squash-16"

    def test_published_names(self):
        from genmetrics.engine.subject import Subject, metric_keeping
        from genmetrics.metrics.base import Metric
        from genmetrics.types import Need

        def named(preprocess: str, feature: str = "2048") -> tuple[str, str]:
            need = Need("inception-v3.tf2015", preprocess, feature, "moments")
            return Subject(Metric.__new__(_Other), need, ()).distance, metric_keeping(need)

        assert named("tf1-bilinear-299") == ("fid", "kid")
        assert named("pil-bicubic-f32-299") == ("fid_clean", "kid_clean")
        assert named("adm-256+tf1-bilinear-299") == ("fid.adm-256", "kid --crop adm-256")

    @pytest.mark.parametrize("with_ref", [True, False])
    def test_without_a_comparison_a_note_says_so(self, images, with_ref):
        report = run(images[0], images[1] if with_ref else None, ["isc"])
        assert report.diagnostics is None and "diagnostics" not in report.to_dict()
        assert report.notes[-1] == (
            f"there are no diagnostics: none of the metrics (isc.{NET}) compares features with those of a reference; "
            "ask for one that does, such as fid, with '--ref REF' (Python: ref=...)"
        )


class _Other(FrechetDistance.__mro__[1]):
    """A metric that is no Fréchet distance."""

    def compute(self, gen, ref):
        raise NotImplementedError


class TestFromStatistics:
    @pytest.fixture
    def moments(self, images, tmp_path) -> Path:
        """A file of another tool, which holds mean and covariance and says of nothing what it is."""
        rows = features(images[1])
        np.savez(tmp_path / "ref.npz", mu=rows.mean(axis=0), sigma=np.cov(rows.T))
        return tmp_path / "ref.npz"

    def test_mean_and_covariance_of_the_reference(self, images, moments):
        found, expected = shown(run(images[0], moments, error_bars="on")), shown(run(*images, error_bars="on"))
        why = (
            f"of the reference '{moments}' there is a mean and covariance, and no features of single images; give its "
            f"images, or statistics that keep features: `genmetrics stats build SRC -o FILE -m kid.{NET}`"
        )
        missing = dict.fromkeys(("unrealistic", "uncovered", "copied"), why)
        assert {section: text for section, text in found.absent.items() if section != "classes"} == missing
        assert found.projection.ref.points == () and len(found.projection.gen.points) == 130
        np.testing.assert_allclose(found.projection.ref.covariance, expected.projection.ref.covariance, atol=1e-9)
        np.testing.assert_allclose(found.projection.gen.points, expected.projection.gen.points, atol=1e-6)
        np.testing.assert_allclose(found.curve.values, expected.curve.values, rtol=1e-9)
        assert [picture.index for picture in found.raises.pictures] == [
            picture.index for picture in expected.raises.pictures
        ]

    def test_features_of_both(self, images, tmp_path):
        for name, side in zip(("gen", "ref"), images, strict=True):
            gm.compute_stats(side, ["kid"], extractor=NET, device="cpu").save(tmp_path / f"{name}.safetensors")
        found = shown(run(tmp_path / "gen.safetensors", tmp_path / "ref.safetensors"))
        expected = shown(run(*images))
        for section in GALLERIES:
            ours, theirs = (getattr(one, section).pictures for one in (found, expected))
            assert [picture.index for picture in ours] == [picture.index for picture in theirs]
            assert {picture.image for picture in ours} == {""}
            assert {picture.size for picture in ours} == {None}
        np.testing.assert_allclose(found.curve.values, expected.curve.values, rtol=1e-9)

    def test_mean_and_covariance_of_both(self, images, moments):
        stats = gm.compute_stats(images[0], ["fid"], extractor=NET, device="cpu")
        found = shown(run(stats, moments))
        assert set(found.absent) == {"curve", "classes", *GALLERIES}
        assert all("of the generated set" in text and f"-m kid.{NET}" in text for text in found.absent.values())
        assert found.projection.gen.points == found.projection.ref.points == ()
        assert len(found.spectra.ranks) == 12

    def test_moments_with_blocks_have_a_curve(self, images):
        stats = gm.compute_stats(images[0], ["fid"], extractor=NET, device="cpu", error_bars="on")
        found = shown(run(stats, images[1], error_bars="off"))
        assert found.curve == shown(run(*images, error_bars="off")).curve
        assert found.raises is None

    def test_classes_of_other_images(self, images):
        stats = gm.compute_stats(images[0], ["kid"], extractor=NET, device="cpu")
        from genmetrics.accumulators.labels import Labels

        labels = Labels()
        labels.update(torch.zeros(3, dtype=torch.int64), torch.arange(3))
        found = run(replace(stats, labels=labels), images[1]).diagnostics
        assert "classes are of other images (3) than its features (130)" in found.absent["classes"]


class TestFewImages:
    def test_below_five_a_dimension_there_is_no_limit(self, images):
        curve = shown(run(images[0][:59], images[1])).curve
        assert (curve.limit, curve.slope, curve.limit_low, curve.limit_high) == (None, None, None, None)
        assert shown(run(images[0][:60], images[1], error_bars="off")).curve.limit is not None

    @pytest.mark.parametrize(("num_gen", "num_ref"), [(2, 2), (2, 3), (3, 4), (12, 5), (5, 110)])
    def test_tiny_sets(self, images, num_gen, num_ref):
        found = shown(run(images[0][:num_gen], images[1][:num_ref]))
        assert found.spectra is not None
        assert ("projection" in found.absent) == (num_ref == 2)
        assert ("unrealistic" in found.absent) == (num_ref == 2)
        assert ("curve" in found.absent) == (num_gen < 3)
        assert len(found.copied.pictures) == num_gen
        assert len(found.uncovered.pictures) == min(24, num_ref)

    def test_what_is_missing_says_why(self, images):
        found = shown(run(images[0][:2], images[1][:2]))
        assert found.absent["curve"] == "of 2 generated images there are no parts that have a covariance; add images"
        assert found.absent["projection"].startswith("the reference images spread along fewer than two axes")
        assert found.absent["unrealistic"].startswith("all reference images are equally far from their neighbours")
        assert found.absent["classes"].startswith("the generated images have no classes")

    def test_images_that_are_all_alike(self, images):
        gen, ref = images[0][:1].repeat(20, axis=0), images[1][:1].repeat(20, axis=0)
        found = shown(run(gen, images[1]))
        assert found.absent["raises"].startswith("no generated image raises the distance more than any other")
        assert len(found.copied.pictures) == 1
        found = shown(run(images[0], ref))
        assert found.absent["uncovered"].startswith("every reference image has several copies")
        assert found.absent["copied"].startswith("every generated image is nearest to a reference image that has only")

    def test_one_image_is_no_set(self, images):
        report = run(images[0][:1], images[1], [replace(METRICS.get("nearest"), extractor=NET, feature="12",
                                                        preprocess="squash-16")], extractor=None)  # fmt: skip
        assert report.diagnostics is None
        assert report.notes[-1] == (
            "there are no diagnostics: they take at least 2 images a side, and there is 1 in the generated set"
        )


class TestWaysToRead:
    def test_kept_statistics(self, images, tmp_path):
        first, second = (run(*images, cache=tmp_path) for _ in range(2))
        assert set(second.reused) == {"gen", "ref"} and not first.reused
        assert shown(second) == shown(first)
        # What an ordinary run has kept is used, and the rest is computed.
        folder = tmp_path / "other"
        run(*images, cache=folder, diagnostics=False)
        assert shown(run(*images, cache=folder)).copied == shown(first).copied

    def test_checkpoints(self, images, tmp_path):
        gen, ref = (written(tmp_path / name, side) for name, side in zip(("gen", "ref"), images, strict=True))
        expected = shown(run(gen, ref))
        again = [run(gen, ref, resume=tmp_path / "resume") for _ in range(2)]
        for report in again:
            assert shown(report) == expected

    def test_a_generator(self, images):
        source = GeneratorSource(_paint, z_size=4, num_samples=30, value_range=(0, 1), batch_size=4)
        found = shown(run(source, images[1]))
        assert found.raises.pictures[0].name.startswith("sample ")
        assert found.raises.pictures[0].size == (8, 8)

    def test_a_stream_has_no_pictures_and_all_else(self, images):
        tensors = torch.from_numpy(images[0]).permute(0, 3, 1, 2)
        found, expected = shown(run(iter(tensors), images[1])), shown(run(*images))
        assert {picture.image for picture in found.raises.pictures} == {""}
        assert {picture.image != "" for picture in found.uncovered.pictures} == {True}
        assert found.curve == expected.curve
        assert [picture.index for picture in found.copied.pictures] == [
            picture.index for picture in expected.copied.pictures
        ]

    def test_progress_says_what_takes_long(self, images):
        told = []
        run(*images, progress=told.append)
        assert told[-1].message == "diagnostics"


@pytest.mark.gpu
def test_on_a_gpu_all_is_as_on_a_cpu(images):
    found, expected = (shown(run(*images, device=device, error_bars="off")) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(found.curve.values, expected.curve.values, rtol=1e-5)
    np.testing.assert_allclose(found.spectra.ref, expected.spectra.ref, rtol=1e-4)
    np.testing.assert_allclose(found.projection.gen.points, expected.projection.gen.points, atol=1e-4)
    for section in GALLERIES:
        ours, theirs = ({picture.index for picture in getattr(one, section).pictures} for one in (found, expected))
        assert len(ours & theirs) >= len(theirs) - 1, section


def test_statistics_keep_what_was_asked_for_alone(images):
    """Diagnostics of a run do not change what statistics of it hold."""
    from genmetrics.engine.subject import asked_alone

    stats = gm.compute_stats(images[0], ["fid", "kid"], extractor=NET, device="cpu")
    moments, bank = sorted(stats.accumulators, key=lambda need: need.accumulator, reverse=True)
    assert (moments.accumulator, bank.accumulator) == ("moments", "feature_bank")
    assert asked_alone(stats, [moments], ()) is stats
    kept = asked_alone(stats, [moments], [moments, bank])
    assert isinstance(kept, Stats) and set(kept.accumulators) == {moments}


def _paint(z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(z[:, :3, None, None] * z[:, 3:4, None, None]).expand(-1, 3, 8, 8)
