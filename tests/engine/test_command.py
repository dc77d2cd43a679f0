"""The command of a report repeats it; where none can, there is none."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genmetrics as gm
from genmetrics.cli.main import main
from genmetrics.engine.command import command_of
from genmetrics.engine.options import Options
from genmetrics.metrics import METRICS
from support.blocks import NET, registered_blocks


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture
def folders(tmp_path: Path, smooth_images) -> tuple[Path, Path]:
    """Sets whose names need quotes, one with transparency and a bad image, both with classes."""
    paths = tmp_path / "gen images", tmp_path / "it's real; $HOME"
    for seed, path in enumerate(paths):
        for number, image in enumerate(smooth_images(30, 40, 30, seed=seed)):
            home = path / ("a" if number % 2 else "b")
            home.mkdir(parents=True, exist_ok=True)
            alpha = np.full((40, 30, 1), 40 * seed + 100, np.uint8)
            Image.fromarray(np.dstack((image, alpha)), "RGBA").save(home / f"{number}.png")
    (paths[0] / "a" / "broken.png").write_bytes(b"no image")
    return paths


def rerun(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict:
    monkeypatch.setattr("sys.argv", [*shlex.split(command), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None), capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


OPTIONS = {
    "num": 20,
    "seed": 7,
    "alpha": "white",
    "on_bad_image": "skip",
    "crop": "square-16",
    "labels": {"gen": "folders", "ref": "none"},
    "error_bars": "on",
    "extractor": NET,
    "device": "cpu",
    "backend": "torch",
    "batch_size": 3,
}


@pytest.mark.filterwarnings("ignore::genmetrics.errors.GenmetricsWarning")
def test_repeats_the_run(folders, monkeypatch, capsys):
    report = gm.evaluate(*folders, ["fid_influence", "fid"], **OPTIONS)
    again = rerun(report.command, monkeypatch, capsys)
    ours = report.to_dict()
    for part in ("metrics", "gen", "ref", "seed", "device", "command", "notes"):
        assert again[part] == ours[part], part
    # The figures depend on what the command says: without one of its options they are others.
    without = shlex.split(report.command)
    at = without.index("--seed")
    other = rerun(shlex.join(without[:at] + without[at + 2 :]), monkeypatch, capsys)
    assert other["metrics"] != ours["metrics"]


def test_weights_and_force(folders, tmp_path, monkeypatch, capsys):
    weights = tmp_path / "twice.txt"
    weights.write_text("2.0")
    stats = tmp_path / "ref.safetensors"
    gm.compute_stats(folders[1], ["fid"], extractor=NET, device="cpu", alpha="black").save(stats)
    options = {"extractor": NET, "device": "cpu", "weights": weights, "force": True, "on_bad_image": "skip"}
    report = gm.evaluate(folders[0], stats, "fid", alpha="black", **options)
    assert f"--alpha black --on-bad-image skip --weights {NET}={weights} --force" in report.command
    assert rerun(report.command, monkeypatch, capsys)["metrics"] == report.to_dict()["metrics"]


def test_of_defaults_it_is_short():
    assert command_of("gen", Path("ref.npz"), None, Options()) == "genmetrics eval gen --ref ref.npz"
    assert command_of("cifar10", None, "isc", Options()) == "genmetrics eval cifar10 -m isc"


def test_what_changes_no_number_is_not_in_it(tmp_path):
    options = Options(cache=tmp_path, resume=tmp_path, workers=3)
    assert command_of("gen", "ref", ["fid"], options) == "genmetrics eval gen --ref ref -m fid"


def test_options():
    options = Options(
        device="cuda:1", precision="bf16", backend="torch", captions=Path("a b.txt"), labels="folders", crop="adm-256"
    )
    assert command_of("-odd", "ref", ["fid", "clip_score"], options) == (
        "genmetrics eval ./-odd --ref ref -m fid,clip_score --device cuda:1 --precision bf16 --backend torch "
        "--crop adm-256 --labels folders --captions 'a b.txt'"
    )


def test_with_diagnostics_it_writes_the_page():
    assert command_of("gen", "ref", None, Options(diagnostics=True)).endswith("--ref ref --html report.html")


def test_what_no_command_can_say(smooth_images):
    images = smooth_images(4, 8, 8, seed=1)
    assert command_of(images, "ref", None, Options()) is None
    assert command_of("gen", ["a.png", "b.png"], None, Options()) is None
    assert command_of("gen", "ref", [METRICS.get("fid")], Options()) is None
    assert command_of("gen", None, ["clip_score"], Options(captions=["a text"])) is None
    stats = gm.compute_stats(images, ["fid"], extractor=NET, device="cpu")
    assert command_of("gen", stats, None, Options()) is None


def test_an_evaluator_has_none(smooth_images):
    import torch

    evaluator = gm.Evaluator(smooth_images(20, 16, 16, seed=1), ["fid"], extractor=NET, device="cpu")
    evaluator.update(torch.from_numpy(smooth_images(20, 16, 16, seed=2)).permute(0, 3, 1, 2))
    assert evaluator.compute().command is None
