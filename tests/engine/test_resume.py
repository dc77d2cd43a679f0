"""A run that is stopped at any moment goes on from its checkpoint, and ends with the same file, byte for byte."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import genmetrics as gm
from genmetrics import files
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.feature_bank import FeatureBank, Scalars
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.engine import checkpoints
from genmetrics.errors import OutputError, UsageError
from genmetrics.sources.arrays import ArraySource
from genmetrics.types import Progress, Shard
from support.blocks import NET, registered_blocks

COUNT, BATCH = 150, 2
#: Of ``BATCH`` images a batch.
SEGMENT = 64


class Stopped(BaseException):
    """Stands for whatever ends a process in the middle."""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(checkpoints.INTERVAL, "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three sizes, two of which cannot be read."""
    made = tmp_path_factory.mktemp("images")
    rng = np.random.RandomState(0)
    for number in range(COUNT):
        side = (24, 32, 40)[rng.randint(3)]
        pixels = np.tile(rng.randint(0, 256, (1, 1, 3)), (side, side, 1)) + rng.randint(-20, 21, (side, side, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(made / f"{number:04d}.png")
    for name in ("0040.png", "0110.png"):
        (made / name).write_bytes(b"no image")
    return made


def build(images: object, target: Path, resume: Path | None, progress: Any = None, **options: Any) -> bytes:
    """Make a statistics file; its bytes."""
    given = {"extractor": NET, "batch_size": BATCH, "on_bad_image": "skip", "device": "cpu"}
    stats = gm.compute_stats(images, ["fid", "kid", "isc"], resume=resume, progress=progress, **(given | options))
    stats.save(target)
    return target.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory, _registered: None) -> bytes:
    where = tmp_path_factory.mktemp("undisturbed")
    return build(folder, where / "file.safetensors", where / "run")


def stopping_after(count: int) -> Callable[[Progress], None]:
    """Stop when so many progress records came."""
    seen = 0

    def look(record: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen > count:
            raise Stopped

    return look


class TestBytes:
    @pytest.mark.parametrize("seed", range(3))
    def test_stopped_anywhere_and_resumed(self, seed: int, folder: Path, undisturbed: bytes, tmp_path: Path) -> None:
        draw = random.Random(seed)
        stops, file, run = 0, tmp_path / "file.safetensors", tmp_path / "run"
        while True:
            try:
                found = build(folder, file, run, stopping_after(draw.randint(0, 70)))
                break
            except Stopped:
                stops += 1
        assert stops > 0
        assert found == undisturbed

    def test_only_what_is_left_is_read(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(Stopped):
            build(folder, tmp_path / "file.safetensors", tmp_path / "run", stopping_after(45))
        seen: list[int] = []
        build(folder, tmp_path / "file.safetensors", tmp_path / "run", lambda record: seen.append(record.done))
        assert seen[0] == SEGMENT
        assert seen == sorted(seen)
        assert seen[-1] == COUNT

    def test_a_finished_pass_is_not_read_again(self, folder: Path, undisturbed: bytes, tmp_path: Path) -> None:
        build(folder, tmp_path / "file.safetensors", tmp_path / "run")
        seen: list[int] = []
        again = build(folder, tmp_path / "file.safetensors", tmp_path / "run", lambda record: seen.append(record.done))
        assert set(seen) == {COUNT}
        assert again == undisturbed

    def test_a_set_of_one_segment_and_of_whole_segments(self, tmp_path: Path) -> None:
        for count in (5, SEGMENT, 2 * SEGMENT):
            pixels = np.random.RandomState(count).randint(0, 256, (count, 24, 24, 3), dtype=np.uint8)
            source = ArraySource(pixels)
            expected = build(source, tmp_path / "a.safetensors", tmp_path / f"whole-{count}")
            with pytest.raises(Stopped):
                build(source, tmp_path / "a.safetensors", tmp_path / f"run-{count}", stopping_after(count // BATCH))
            assert build(source, tmp_path / "b.safetensors", tmp_path / f"run-{count}") == expected

    def test_without_resume_the_numbers_are_the_same(self, folder: Path, undisturbed: bytes, tmp_path: Path) -> None:
        build(folder, tmp_path / "plain.safetensors", None)
        plain = gm.Stats.load(tmp_path / "plain.safetensors")
        (tmp_path / "cut.safetensors").write_bytes(undisturbed)
        cut = gm.Stats.load(tmp_path / "cut.safetensors")
        assert plain.side.digest == cut.side.digest
        assert (plain.side.formats, plain.side.sizes) == (cut.side.formats, cut.side.sizes)
        assert plain.side.formats == (("PNG", COUNT - 2),) and plain.side.sizes.smallest == (24, 24)
        assert torch.equal(plain.keys.values(), cut.keys.values())
        assert cut.keys.indices().tolist() == [number for number in range(COUNT) if number not in (40, 110)]
        for need, held in plain.accumulators.items():
            for name, tensor in held.state().items():
                np.testing.assert_allclose(cut.accumulators[need].state()[name].numpy(), tensor.numpy(), rtol=1e-6)

    def test_both_sides_of_an_evaluation(self, folder: Path, tmp_path: Path) -> None:
        def run(resume: Path, progress: Any = None) -> dict[str, Any]:
            report = gm.evaluate(
                *(folder, folder, ["fid", "kid_full"]),
                **{"extractor": NET, "batch_size": BATCH, "on_bad_image": "skip", "device": "cpu"},
                **{"resume": resume, "progress": progress, "num": 140, "cache": False},
            )
            values = report.to_dict()
            del values["seconds"]
            return values

        expected = run(tmp_path / "whole")
        for stop in (60, 60, 60):  # in the reference, at the beginning of the generated side, and in it
            with pytest.raises(Stopped):
                run(tmp_path / "run", stopping_after(stop))
        assert run(tmp_path / "run") == expected


class TestCrashes:
    """A process that ends between any two operations on files leaves a folder that can be gone on from."""

    def test_at_each_move_of_a_file(
        self, folder: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        true_replace = Path.replace
        moved = 0

        def count_moves(self: Path, target: Path) -> Path:
            nonlocal moved
            moved += 1
            return true_replace(self, target)

        monkeypatch.setattr(Path, "replace", count_moves)
        build(folder, tmp_path / "file.safetensors", tmp_path / "whole")
        # Rows, state and manifest of three segments and of the end, and the file itself.
        assert moved == 13
        for crash in range(12):
            run = tmp_path / f"run-{crash}"
            left = crash
            # Half of them before the move, and half after it.
            after = crash % 2 == 1

            def crashing(self: Path, target: Path, after: bool = after) -> Path:
                nonlocal left
                left -= 1
                if left < 0 and not after:
                    raise Stopped
                done = true_replace(self, target)
                if left < 0:
                    raise Stopped
                return done

            monkeypatch.setattr(Path, "replace", crashing)
            with pytest.raises(Stopped):
                build(folder, tmp_path / "file.safetensors", run)
            monkeypatch.setattr(Path, "replace", true_replace)
            assert build(folder, tmp_path / "file.safetensors", run) == undisturbed
            names = {path.name.split("-")[0] for path in (run / "ref").iterdir()}
            assert names == {"checkpoint.json", "lock", "rows", "state"}

    def test_a_full_disk_is_said(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(OutputError, match="No space left on device"):
            build(folder, tmp_path / "file.safetensors", tmp_path / "run")


@pytest.fixture
def stopped(folder: Path, tmp_path: Path) -> Path:
    """The folder of a run that was stopped after its first segment."""
    with pytest.raises(Stopped):
        build(folder, tmp_path / "file.safetensors", tmp_path / "run", stopping_after(45))
    return tmp_path / "run"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"batch_size": 4}, "--batch-size was 2 and is 4 now"),
            ({"seed": 1}, "--seed was 2020 and is 1 now"),
            ({"alpha": "white"}, "--alpha was drop and is white now"),
            ({"on_bad_image": "error"}, "--on-bad-image was skip and is error now"),
            ({"crop": "adm-64"}, "--crop was nothing and is adm-64 now"),
            ({"num": 100}, "the number of images was 150 and is 100 now"),
            ({"shard": Shard(0, 2)}, "the shard was 0/1 and is 0/2 now"),
        ],
    )
    def test_another_run(
        self, options: dict[str, Any], named: str, folder: Path, stopped: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match="remove the folder to begin anew") as caught:
            build(folder, tmp_path / "file.safetensors", stopped, **options)
        assert named in str(caught.value)

    def test_other_images(self, folder: Path, stopped: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        for path in folder.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
        Image.new("RGB", (24, 24)).save(other / "0003.png")
        with pytest.raises(UsageError, match="the digest of the images' names, sizes and times was"):
            build(other, tmp_path / "file.safetensors", stopped)

    def test_other_metrics(self, folder: Path, stopped: Path) -> None:
        with pytest.raises(UsageError, match="what the metrics need was"):
            gm.compute_stats(
                *(folder, ["fid"]),
                **{"extractor": NET, "batch_size": BATCH, "on_bad_image": "skip", "device": "cpu"},
                resume=stopped,
            )

    @pytest.mark.parametrize(
        ("kind", "how"),
        [
            *((kind, how) for kind in ("rows-", "state-", "checkpoint.json") for how in ("truncated", "changed")),
            *((kind, "removed") for kind in ("rows-", "state-")),
        ],
    )
    def test_a_damaged_checkpoint(self, kind: str, how: str, folder: Path, stopped: Path, tmp_path: Path) -> None:
        file = next(path for path in (stopped / "ref").iterdir() if path.name.startswith(kind))
        content = file.read_bytes()
        if how == "removed":
            file.unlink()
        else:
            middle = len(content) // 2
            changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            file.write_bytes(content[:middle] if how == "truncated" else changed)
        with pytest.raises(UsageError, match=r"is damaged .* remove the folder to begin anew"):
            build(folder, tmp_path / "file.safetensors", stopped)

    @pytest.mark.parametrize("schema", [1, 99], ids=["older", "newer"])
    def test_of_another_version(self, schema: int, folder: Path, stopped: Path, tmp_path: Path) -> None:
        manifest = stopped / "ref" / "checkpoint.json"
        values = json.loads(manifest.read_text())
        del values["sha256"]
        assert values["schema"] not in (1, 99)
        values["schema"] = schema
        manifest.write_text(json.dumps({**values, "sha256": checkpoints._digest(values)}))
        with pytest.raises(UsageError, match="of another version of genmetrics"):
            build(folder, tmp_path / "file.safetensors", stopped)

    def test_a_folder_in_use(self, folder: Path, stopped: Path, tmp_path: Path) -> None:
        with FileLock(stopped / "ref" / "lock"), pytest.raises(UsageError, match="in use by another process"):
            build(folder, tmp_path / "file.safetensors", stopped)

    def test_the_folder_of_a_run_that_failed_is_free(self, folder: Path, stopped: Path, tmp_path: Path) -> None:
        """Also while somebody holds the error, as a notebook does, and of the side that was not begun."""
        held: list[BaseException] = []

        def run(progress: Any = None) -> None:
            given = {"extractor": NET, "batch_size": BATCH, "on_bad_image": "skip", "device": "cpu", "cache": False}
            gm.evaluate(folder, folder, ["fid"], resume=tmp_path / "both", progress=progress, **given)

        for stop in (30, 100):
            try:
                run(stopping_after(stop))
            except Stopped as error:
                held.append(error)
        assert len(held) == 2
        run()

    def test_another_number_of_processes(self, folder: Path, stopped: Path, tmp_path: Path) -> None:
        (stopped / "ref").rename(stopped / "rank-0-of-3")
        (stopped / "ref").mkdir()
        (stopped / "rank-0-of-3").rename(stopped / "ref" / "rank-0-of-3")
        with pytest.raises(UsageError, match="was started with 3 processes, and this one has 1"):
            build(folder, tmp_path / "file.safetensors", stopped)

    def test_images_that_cannot_be_known(self, tmp_path: Path) -> None:
        images = (torch.zeros(3, 24, 24, dtype=torch.uint8) for _ in range(5))
        with pytest.raises(UsageError, match="cannot be told before they are read"):
            build(images, tmp_path / "file.safetensors", tmp_path / "run")

    def test_metrics_that_draw_from_the_whole_set(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="metrics of pair values cannot be resumed"):
            gm.evaluate(folder, None, ["ms_ssim"], resume=tmp_path / "run", on_bad_image="skip", device="cpu")

    def test_a_folder_that_cannot_be_made(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("a file")
        with pytest.raises(OutputError, match="cannot write checkpoints"):
            build(folder, tmp_path / "file.safetensors", tmp_path / "run")

    @pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf"])
    def test_an_interval_that_is_none(
        self, given: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(checkpoints.INTERVAL, given)
        with pytest.raises(UsageError, match=f"{checkpoints.INTERVAL}='{given}'"):
            build(folder, tmp_path / "file.safetensors", tmp_path / "run")


def test_no_checkpoint_is_written_before_its_time(
    folder: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the bytes do not depend on when they are."""
    monkeypatch.setenv(checkpoints.INTERVAL, "1000")
    with pytest.raises(Stopped):
        build(folder, tmp_path / "file.safetensors", tmp_path / "run", stopping_after(45))
    assert {path.name for path in (tmp_path / "run" / "ref").iterdir()} == {"lock"}
    assert build(folder, tmp_path / "file.safetensors", tmp_path / "run") == undisturbed


def _feeds(width: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    rng = np.random.RandomState(3)
    start = 0
    for count in (3, 1, 7, 0, 12, 5, 9, 2, 30, 1):
        values = torch.from_numpy(rng.standard_normal((count, width)) * 3 + 100)
        yield values.float(), torch.arange(start, start + count)
        start += count


@pytest.mark.parametrize(
    "make",
    [
        lambda: Moments(6),
        lambda: Moments(50),
        lambda: Moments(1000),
        lambda: Moments(50, unit_norm=True),
        lambda: SoftmaxSums(6, 5, 2020, 70),
        lambda: SoftmaxSums(6, 5, 2020, None),
        lambda: SoftmaxSums(6, 0, 0, 70, chunk=8),
        lambda: FeatureBank(6),
        lambda: Scalars(2),
    ],
    ids=["moments", "moments, few", "moments, rows", "unit", "sums", "logits", "chunks", "bank", "scalars"],
)
@pytest.mark.parametrize("at", range(11))
def test_accumulators_go_on_to_the_last_bit(make: Callable[[], Accumulator], at: int) -> None:
    whole, first = make(), make()
    width = getattr(whole, "width", 2)
    for number, (values, indices) in enumerate(_feeds(width)):
        whole.update(values, indices)
        if number == at:
            first = type(first).from_state({name: tensor.clone() for name, tensor in first.state().items()})
        first.update(values, indices)
    theirs = first.state()
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("limit", ["0", "2K", "1G"])
def test_banks_in_files_go_on_too(
    limit: str, folder: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENMETRICS_BANK_MEMORY", limit)
    with pytest.raises(Stopped):
        build(folder, tmp_path / "file.safetensors", tmp_path / "run", stopping_after(70))
    assert build(folder, tmp_path / "file.safetensors", tmp_path / "run") == undisturbed
