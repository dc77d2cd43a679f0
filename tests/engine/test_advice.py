"""Each piece of advice where it is due, and none where it is not, of images and of saved statistics."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import genmetrics as gm
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.softmax_sums import IN_ORDER
from genmetrics.engine import advice as rules
from genmetrics.metrics import METRICS
from genmetrics.stats import io
from genmetrics.types import MetricInfo, Progress, Shard
from support.blocks import NET, registered_blocks

FD = f"fd.{NET}"
#: Enough for the 12 dimensions of the network.
COUNT = 60
#: ADM's score over runs of 40 images, and one over 10 splits in order.
RUNS = replace(METRICS.get("isc_adm"), id="isc_runs", extractor=NET, feature="logits", preprocess="squash-16")
RUNS = replace(RUNS, settings=(("chunk", 40),))
SPLITS = replace(
    METRICS.get("isc"),
    **{"id": "isc_in_order", "extractor": NET, "feature": "logits", "preprocess": "squash-16", "generic": None},
    settings=(("num_splits", 10), ("shuffle", 0)),
)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def sets(smooth_images, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes images as files of a format: ``sets(images, "jpg")``."""

    def write(images: np.ndarray | list[np.ndarray], ending: str = "png") -> Path:
        folder = tmp_path_factory.mktemp("set")
        for number, image in enumerate(images):
            options = {"lossless": True} if ending == "webp" else {}
            Image.fromarray(image).save(folder / f"{number:03d}.{ending}", **options)
        return folder

    return write


@pytest.fixture(scope="module")
def pictures(smooth_images) -> tuple[np.ndarray, np.ndarray]:
    """Generated and reference images, none twice."""
    return smooth_images(COUNT, 24, 24, seed=1), smooth_images(COUNT + 10, 24, 24, seed=2)


def run(gen: object, ref: object = None, metrics: Any = "fid", **options: Any) -> gm.Report:
    named = {} if isinstance(metrics, list) else {"extractor": NET}
    return gm.evaluate(gen, ref, metrics, device="cpu", cache=False, **named, **options)


def advice(*given: object, **options: Any) -> tuple[str, ...]:
    return run(*given, **options).advice


@pytest.fixture(params=["images", "statistics"])
def as_reference(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[object], object]:
    """A reference as it is, and as a file of its statistics."""

    def make(images: object) -> object:
        if request.param == "images":
            return images
        file = tmp_path / "ref.safetensors"
        gm.compute_stats(images, "fid", extractor=NET, device="cpu", cache=False).save(file)
        return file

    return make


def test_nothing_is_said_of_two_sets_that_compare(sets, pictures, as_reference) -> None:
    report = run(sets(pictures[0]), as_reference(sets(pictures[1])), metrics="fid,isc")
    assert report.advice == ()
    assert (report.gen.formats, report.ref.formats) == ((("PNG", COUNT),), (("PNG", COUNT + 10),))
    assert report.ref.sizes.smallest == report.ref.sizes.largest == (24, 24)


class TestIdentical:
    def test_generated_with_the_reference(self, sets, pictures, as_reference) -> None:
        gen, folder = pictures[0].copy(), sets(pictures[1])
        gen[[7, 30, 31, 59]] = pictures[1][[3, 0, 8, 66]]
        ref = as_reference(folder)
        (text,) = advice(sets(gen), ref)
        assert text.startswith(f"4 of {COUNT} generated images are identical to reference images, pixel for pixel (")
        name = "'{:03d}.png'" if ref == folder else "image {}"
        pairs = [("007", 3), ("030", 0), ("031", 8)]
        told = ", ".join(f"'{ours}.png' and {name.format(theirs)}" for ours, theirs in pairs)
        assert f"({told}, …): either the sets overlap" in text

    def test_one_changed_pixel_is_another_image(self, pictures) -> None:
        gen = pictures[0].copy()
        gen[5] = pictures[1][5]
        gen[5, 3, 4, 1] ^= 1
        assert advice(gen, pictures[1]) == ()

    def test_generated_among_themselves(self, sets, pictures, as_reference) -> None:
        gen = pictures[0].copy()
        gen[[10, 20, 21]] = gen[[4, 4, 5]]
        (text,) = advice(sets(gen), as_reference(sets(pictures[1])))
        assert text.startswith(
            f"3 of {COUNT} generated images are identical to another one, pixel for pixel, so that {COUNT - 3} are "
            "distinct ('004.png' and '010.png', '004.png' and '020.png', '005.png' and '021.png'): "
        )

    def test_a_metric_of_one_set_says_it_too(self, pictures) -> None:
        gen = pictures[0].copy()
        gen[9] = gen[8]
        (text,) = advice(gen, None, "isc")
        assert text.startswith(f"1 of {COUNT} generated images is identical to another one")
        assert f"array {COUNT}x24x24x3 uint8[8]' and 'array {COUNT}x24x24x3 uint8[9]'" in text

    @pytest.mark.parametrize("copies", [0, 1])
    def test_a_hundredth_of_the_reference_may_come_twice(self, pictures, smooth_images, copies, as_reference) -> None:
        ref = smooth_images(101, 24, 24, seed=5)
        ref[50 : 51 + copies] = ref[0]
        found = advice(pictures[0], as_reference(ref))
        assert len(found) == copies
        assert all(text.startswith("2 of 101 reference images are identical to another one") for text in found)

    def test_a_set_against_itself_is_one_piece_of_advice(self, sets, pictures, as_reference) -> None:
        (text,) = advice(pictures[0], as_reference(sets(pictures[0])))
        assert text.startswith("gen and ref are the same images (equal digests)")

    def test_names_are_those_of_the_images_that_were_drawn(self, sets, pictures) -> None:
        gen = pictures[0].copy()
        gen[:] = gen[np.arange(COUNT) % 55]
        report = run(sets(gen), sets(pictures[1]), num=58, seed=3)
        drawn = np.sort(np.random.default_rng(3).choice(COUNT, 58, replace=False))
        again = [(number - 55, number) for number in range(55, 60) if {number - 55, number} <= set(drawn)]
        assert len(again) > 2
        shown = ", ".join(f"'{one:03d}.png' and '{other:03d}.png'" for one, other in again[:3])
        assert f"{len(again)} of 58 generated images are identical" in report.advice[0]
        assert shown in report.advice[0]

    def test_images_that_were_skipped_leave_names_as_they_are(self, sets, pictures) -> None:
        gen = pictures[0].copy()
        gen[40] = gen[39]
        folder = sets(gen)
        (folder / "002.png").write_bytes(b"no image")
        report = run(folder, pictures[1], on_bad_image="skip", metrics="kid")
        assert f"1 of {COUNT - 1} generated images is identical" in report.advice[0]
        assert "('039.png' and '040.png')" in report.advice[0]
        assert report.gen.formats == (("PNG", COUNT - 1),)


class TestFormats:
    def test_samples_saved_as_jpeg(self, sets, pictures, as_reference) -> None:
        (text,) = advice(sets(pictures[0], "jpg"), as_reference(sets(pictures[1], "bmp")))
        assert text == (
            f"{COUNT} of {COUNT} generated images are JPEG, which loses detail: the figures measure that compression "
            "along with the generator, and a distance takes it for a difference from the reference, of which 0 of "
            f"{COUNT + 10} images are. Save samples as PNG"
        )

    def test_both_sides_as_jpeg(self, sets, pictures, as_reference) -> None:
        (text,) = advice(sets(pictures[0], "jpg"), as_reference(sets(pictures[1], "jpg")))
        assert text.endswith("along with the generator. Save samples as PNG")
        assert advice(sets(pictures[0], "jpg"), None, "isc") == (text,)

    @pytest.mark.parametrize("kind", ["png", "array"])
    def test_a_reference_of_jpeg(self, sets, pictures, as_reference, kind) -> None:
        gen = pictures[0] if kind == "array" else sets(pictures[0])
        (text,) = advice(gen, as_reference(sets(pictures[1], "jpg")))
        assert text.startswith(
            f"{COUNT + 10} of {COUNT + 10} reference images are JPEG, which loses detail, and 0 of {COUNT} generated "
            "ones: a part of the distance is that of compressed images from others"
        )

    @pytest.mark.parametrize(("jpegs", "said"), [(6, False), (7, True)])
    def test_a_tenth_may_be_an_accident(self, sets, pictures, jpegs: int, said: bool) -> None:
        folder = sets(pictures[0])
        for number in range(jpegs):
            path = folder / f"{number:03d}.png"
            Image.open(path).save(path.with_suffix(".jpg"))
            path.unlink()
        assert bool(advice(folder, pictures[1])) == said

    def test_an_encoding_that_may_be_lossless_is_not_judged(self, sets, pictures) -> None:
        (text,) = advice(sets(pictures[0], "webp"), pictures[1])
        assert text.startswith(f"{COUNT} of {COUNT} generated images are WEBP, which loses detail, unless it was told")

    def test_images_of_unknown_origin_are_not_judged(self, sets, pictures) -> None:
        """A dataset may have decoded JPEG files; a loader and a generator object as well."""
        tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in pictures[0]]
        report = run(tensors, sets(pictures[1], "jpg"))
        assert report.advice == ()
        fed = gm.Evaluator(sets(pictures[1], "jpg"), "fid", extractor=NET, device="cpu", cache=False)
        fed.update(torch.stack(tensors))
        found = fed.compute()
        assert (found.gen.formats, found.advice) == (None, ())
        assert found.gen.sizes == report.gen.sizes

    def test_every_container_counts_alike(self, sets, pictures, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        folder = sets(pictures[0][:9])
        for number in range(4):
            Image.open(folder / f"{number:03d}.png").save(folder / f"{number:03d}.jpg", quality=95)
            (folder / f"{number:03d}.png").unlink()
        files = sorted(folder.iterdir(), key=lambda path: path.name)
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in files:
                archive.write(path, path.name)
        tar = shutil.make_archive(str(tmp_path / "set"), "tar", folder)
        table = arrow.table({"image": [{"bytes": path.read_bytes(), "path": path.name} for path in files]})
        parquet.write_table(table, tmp_path / "set.parquet")
        found = {
            (side.formats, side.sizes, side.digest)
            for source in (folder, tmp_path / "set.zip", tar, tmp_path / "set.parquet", files)
            for side in [run(source, None, "vendi").gen]
        }
        assert len(found) == 1
        assert found.pop()[0] == (("JPEG", 4), ("PNG", 5))

    def test_sizes_are_those_before_the_crop(self, sets, smooth_images) -> None:
        folder = sets([*smooth_images(3, 40, 60, 1), *smooth_images(2, 100, 30, 2)])
        side = gm.compute_stats(folder, "kid", extractor=NET, device="cpu", cache=False, crop="adm-24").side
        assert side.sizes.bins == ((22, 3, 7200), (23, 2, 6000))
        assert (side.sizes.smallest, side.sizes.largest) == ((60, 40), (30, 100))


class TestSizes:
    def test_unlike_sides(self, pictures, smooth_images, as_reference) -> None:
        (text,) = advice(pictures[0], as_reference(smooth_images(COUNT, 48, 36, seed=4)))
        assert text.startswith(
            "generated images have 24x24 pixels and reference images 36x48 pixels, typical sides that differ by a "
            "factor of 1.7: "
        )
        assert "'--crop adm-24'" in text

    def test_sides_within_a_factor_and_a_crop_are_well(self, pictures, smooth_images, as_reference) -> None:
        assert advice(pictures[0], as_reference(smooth_images(COUNT, 35, 35, seed=4))) == ()
        assert advice(pictures[0], smooth_images(COUNT, 48, 48, seed=4), crop="adm-24") == ()

    def test_few_images_of_another_size_are_no_typical_side(self, sets, pictures, smooth_images) -> None:
        gen = [*pictures[0][:58], *smooth_images(2, 90, 90, 9)]
        assert advice(sets(gen), pictures[1]) == ()

    def test_many_sizes_of_generated_images(self, sets, pictures, smooth_images) -> None:
        gen = [*pictures[0][:50], *smooth_images(10, 48, 48, 9)]
        (text,) = advice(sets(gen), pictures[1])
        assert text.startswith("generated images have 24x24 to 48x48 pixels: the network sees all of them at one size")
        assert advice(pictures[1], sets(gen)) == (), "a reference may be of photographs"


@pytest.fixture(scope="module")
def sorted_images() -> tuple[np.ndarray, np.ndarray]:
    """Of five classes that the network tells apart, 40 each, in their order."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 40)
    images = rng.integers(90, 110, (200, 24, 24, 3), dtype=np.uint8)
    images[labels == 1, :12, :12] += 90
    images[labels == 2, :12, 12:] += 90
    images[labels == 3, 12:, :12] += 90
    images[labels == 4, 12:, 12:, 2] += 90
    return images, labels


class TestOrder:
    @pytest.mark.parametrize("metric", [RUNS, SPLITS], ids=["runs", "splits"])
    def test_sorted_images_without_labels(self, sorted_images, metric: MetricInfo) -> None:
        images, _ = sorted_images
        (text,) = advice(images, None, [metric])
        assert text.startswith(f"{metric.id}: the images come in the order of their classes, and the score is the mean")
        assert "by the network's own classes runs of up to" in text
        assert "ask for -m isc, which permutes them" in text
        mixed = np.random.default_rng(1).permutation(200)
        assert advice(images[mixed], None, [metric]) == ()
        assert advice(images, None, "isc") == (), "its images are permuted"

    @pytest.mark.parametrize("metric", [RUNS, SPLITS], ids=["runs", "splits"])
    def test_sorted_images_with_labels(self, sorted_images, metric: MetricInfo, tmp_path: Path) -> None:
        images, labels = sorted_images
        np.savez(tmp_path / "sorted.npz", arr_0=images, arr_1=labels)
        said: list[Progress] = []
        report = run(tmp_path / "sorted.npz", None, [metric], progress=said.append)
        (text,) = report.advice
        assert "holds more than 1 of 5 classes, which caps the score" in text
        assert [record.message for record in said if record.stage == "advice"] == [text]
        mixed = np.random.default_rng(1).permutation(200)
        np.savez(tmp_path / "mixed.npz", arr_0=images[mixed], arr_1=labels[mixed])
        assert advice(tmp_path / "mixed.npz", None, [metric]) == ()

    def test_runs_with_the_classes_in_unlike_shares(self, sorted_images, tmp_path: Path) -> None:
        images, labels = sorted_images
        # Three in ten have left their place.
        rng = np.random.default_rng(3)
        order = np.argsort(np.where(rng.random(200) < 0.3, 200 * rng.random(200), np.arange(200)))
        np.savez(tmp_path / "half.npz", arr_0=images[order], arr_1=labels[order])
        (text,) = advice(tmp_path / "half.npz", None, [replace(RUNS, settings=(("chunk", 100),))])
        assert "in unlike shares, which lowers the score" in text

    def test_a_single_run_has_no_order(self, sorted_images) -> None:
        images, _ = sorted_images
        assert advice(images[::5], None, [RUNS]) == ()


class TestTooFew:
    def test_fewer_than_five_a_dimension(self, pictures, as_reference) -> None:
        (text,) = advice(pictures[0][:50], as_reference(pictures[1]))
        assert text == (
            f"{FD}: 50 generated images are fewer than 5 per feature dimension (12), so that the value lies above that "
            "of many images of the same models. 60 on each side would do, and bring a value without that bias; with "
            f"fewer, compare only with values of exactly as many images, or ask for -m kid_full --extractor {NET}, "
            "which has no such bias"
        )

    def test_no_more_than_dimensions_is_said_once(self, pictures) -> None:
        """What the value is then is the metric's own warning."""
        report = run(pictures[0][:12], pictures[1][:59])
        (text,) = report.advice
        assert text.startswith(
            f"{FD}: 12 generated and 59 reference images are fewer than 5 per feature dimension (12)."
        )
        assert "no more images (generated 12)" in report[FD].warnings[0]
        for phrase in ("values of exactly as many images", "lies"):
            assert sum(phrase in one for one in report.warnings) == 1

    def test_enough_images_and_other_metrics(self, pictures) -> None:
        assert advice(pictures[0], pictures[1]) == ()
        assert advice(pictures[0][:20], pictures[1], metrics="kid,kid_full,isc") == ()


class TestBefore:
    """What is known before the first image is read is said then."""

    def said(self, *given: object, **options: Any) -> tuple[list[Progress], gm.Report]:
        records: list[Progress] = []
        report = run(*given, progress=records.append, **options)
        stages = [record.stage for record in records]
        assert "advice" not in stages[sum(stage == "advice" for stage in stages) :], "it comes first"
        return [record for record in records if record.stage == "advice"], report

    def test_numbers_and_names(self, sets, pictures) -> None:
        gen = pictures[0][:50].copy()
        gen[3] = gen[2]
        records, report = self.said(sets(gen), sets(pictures[1], "jpg"))
        assert [(record.done, record.total) for record in records] == [(1, 2), (2, 2)]
        lossy, few = (record.message for record in records)
        assert lossy.startswith(f"{COUNT + 10} of {COUNT + 10} reference images are JPEG by their names, which loses")
        assert lossy.replace(" by their names", "") in report.advice
        assert few in report.advice
        assert len(report.advice) == 3, "the identical images came to light in the pass"

    def test_names_are_only_a_hint(self, sets, pictures) -> None:
        folder = sets(pictures[0], "png")
        for path in folder.iterdir():
            path.rename(path.with_suffix(".jpg"))
        records, report = self.said(folder, pictures[1])
        assert "JPEG by their names" in records[0].message
        assert report.advice == ()

    def test_names_without_a_format_say_nothing(self, sets, pictures, tmp_path: Path) -> None:
        np.savez(tmp_path / "gen.npz", arr_0=pictures[0])
        assert self.said(tmp_path / "gen.npz", sets(pictures[1]))[0] == []

    def test_of_statistics_all_is_known(self, sets, pictures, as_reference) -> None:
        records, report = self.said(sets(pictures[0]), as_reference(sets(pictures[1], "jpg")))
        assert len(records) == len(report.advice) == 1


class TestFiles:
    def build(self, images: object, **options: Any) -> gm.Stats:
        return gm.compute_stats(images, "fid,kid", extractor=NET, device="cpu", cache=False, **options)

    def test_a_file_carries_everything(self, sets, pictures, tmp_path: Path) -> None:
        made = self.build(sets(pictures[1], "jpg"))
        made.save(tmp_path / "a.safetensors")
        back = gm.Stats.load(tmp_path / "a.safetensors")
        assert (back.side.formats, back.side.sizes) == (made.side.formats, made.side.sizes)
        assert made.keys is not None and back.keys is not None
        for name, tensor in made.keys.state().items():
            assert torch.equal(tensor, back.keys.state()[name])
        back.save(tmp_path / "b.safetensors")
        assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()

    def test_a_file_from_before_is_not_known(
        self, sets, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No advice is given that rests on what it does not say."""
        gen = pictures[0].copy()
        gen[5] = pictures[1][5]
        made = self.build(sets(pictures[1], "jpg"))
        whole = io.fingerprint_dict

        def without(stats: gm.Stats) -> dict[str, Any]:
            return {name: value for name, value in whole(stats).items() if name not in ("formats", "sizes")}

        monkeypatch.setattr(io, "fingerprint_dict", without)
        replace(made, keys=None).save(tmp_path / "old.safetensors")
        monkeypatch.undo()
        with safe_open(tmp_path / "old.safetensors", framework="pt") as file:
            assert not any(name.startswith("keys/") for name in file.keys())  # noqa: SIM118
            assert "formats" not in json.loads(file.metadata()["fingerprint"])
        old = gm.Stats.load(tmp_path / "old.safetensors")
        assert (old.side.formats, old.side.sizes, old.keys) == (None, None, None)
        assert advice(sets(gen), tmp_path / "old.safetensors") == ()
        merged = self.build(sets(pictures[0])).merge(old)
        assert (merged.side.formats, merged.side.sizes, merged.keys) == (None, None, None)
        assert merged.num_samples == 2 * COUNT + 10

    def test_a_file_of_another_tool_is_not_known(self, sets, pictures, tmp_path: Path) -> None:
        features = np.random.default_rng(0).standard_normal((500, 12))
        np.savez(tmp_path / "foreign.npz", mu=features.mean(axis=0), sigma=np.cov(features.T))
        assert advice(sets(pictures[0]), tmp_path / "foreign.npz", force=True) == ()

    @pytest.mark.parametrize("shards", [2, 3])
    def test_shards_merge_to_the_whole(self, sets, pictures, smooth_images, shards: int) -> None:
        images = [*pictures[1], *smooth_images(11, 50, 20, 8)]
        images[60] = images[2]
        folder = sets(images)
        Image.open(folder / "012.png").save(folder / "012.jpg")
        (folder / "012.png").unlink()
        whole = self.build(folder)
        parts = [self.build(folder, shard=Shard(number, shards)) for number in range(shards)]
        merged = parts[-1].merge(*parts[:-1])
        assert (merged.side.formats, merged.side.sizes) == (whole.side.formats, whole.side.sizes)
        assert merged.keys is not None and whole.keys is not None
        for name, tensor in whole.keys.state().items():
            assert torch.equal(tensor, merged.keys.state()[name]), name

    def test_keys_of_two_sources_move_along_with_their_indices(self, sets, pictures) -> None:
        one, other = self.build(sets(pictures[0])), self.build(sets(pictures[1]))
        for merged in (one.merge(other), other.merge(one)):
            assert merged.keys is not None
            assert merged.keys.indices().tolist() == list(range(2 * COUNT + 10))
            first = one if merged.side.parts[0].source == one.side.source else other
            second = other if first is one else one
            assert first.keys is not None and second.keys is not None
            assert torch.equal(merged.keys.values(), torch.cat((first.keys.values(), second.keys.values())))

    def test_what_is_kept_from_an_earlier_run_has_it_too(self, sets, pictures, tmp_path: Path) -> None:
        gen = pictures[0].copy()
        gen[4] = pictures[1][9]
        folders = sets(gen, "png"), sets(pictures[1], "jpg")
        given = {"metrics": "fid,isc", "extractor": NET, "device": "cpu", "cache": tmp_path / "cache"}
        first, again = (gm.evaluate(*folders, **given) for _ in range(2))
        assert again.reused == ("gen", "ref")
        assert first.advice == again.advice
        assert (first.gen, first.ref) == (again.gen, again.ref)


def test_what_is_fed_batch_by_batch_has_keys(pictures) -> None:
    gen = pictures[0].copy()
    gen[[30, 31]] = gen[2], pictures[1][0]
    fed = gm.Evaluator(pictures[1], "fid", extractor=NET, device="cpu", cache=False)
    images = torch.from_numpy(gen).permute(0, 3, 1, 2)
    for part in torch.arange(COUNT).split(7):
        fed.update(images[part], part)
    with_reference, among = fed.compute().advice
    assert "1 of 60 generated images is identical to reference images, pixel for pixel (image 31 and" in with_reference
    assert "(image 2 and image 30)" in among
    fed.reset()
    fed.update(torch.from_numpy(pictures[0]).permute(0, 3, 1, 2))
    assert fed.compute().advice == ()


def test_of_too_many_images_none_is_looked_for_again(pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gen = pictures[0].copy()
    gen[3] = gen[2]
    assert len(advice(gen, pictures[1])) == 1
    monkeypatch.setattr(ImageKeys, "most", COUNT - 1)
    report = run(gen, pictures[1])
    assert report.advice == ()
    made = gm.compute_stats(gen, "fid", extractor=NET, device="cpu", cache=False)
    assert (made.keys, made.side.digest) == (None, report.gen.digest)
    made.save(tmp_path / "many.safetensors")
    assert gm.Stats.load(tmp_path / "many.safetensors").keys is None


def test_every_rule_is_in_the_documentation() -> None:
    """docs/advice.md has a row for each."""
    page = (Path(__file__).parents[2] / "docs" / "advice.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) - 1 == len(rules._RULES)


def test_in_order_stands_for_no_permutation() -> None:
    """The metric of the tests above is cut as its images come."""
    assert dict(SPLITS.settings)["shuffle"] == 0
    assert IN_ORDER == -1
