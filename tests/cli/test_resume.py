"""Commands that are killed and given again, as a scheduler does it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT = 256
#: Long enough for any of these commands on a busy machine.
TIMEOUT = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    rng = np.random.RandomState(0)
    for number in range(COUNT):
        side = (24, 32, 40)[rng.randint(3)]
        Image.fromarray(rng.randint(0, 256, (side, side, 3), dtype=np.uint8)).save(made / f"{number:04d}.png")
    for number in (30, 222, 255):
        (made / f"{number:04d}.png").write_bytes(b"no image")
    return made


def command(*arguments: object) -> list[str]:
    return [
        *(sys.executable, "-m", "genmetrics", *map(str, arguments), "--extractor", "efficientnet-lite0.in1k"),
        *("--backend", "torch", "--device", "cpu", "--batch-size", "2", "--on-bad-image", "skip", "--resume"),
    ]


def environment(cache: Path) -> dict[str, str]:
    often = {"GENMETRICS_CHECKPOINT_SECONDS": "0", "GENMETRICS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return os.environ | often


def ended(arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done


def killed(arguments: list[str], env: dict[str, str], seconds: float) -> bool:
    """Start a command, and kill it so long after it began to read; whether it had not ended by then."""
    with subprocess.Popen(arguments, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while (line := process.stderr.readline()) and "images" not in line:
            pass
        time.sleep(seconds)
        alive = process.poll() is None
        process.kill()
    return alive


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="3 kills"), pytest.param(20, id="20 kills", marks=pytest.mark.slow)]
)
def test_killed_at_random_moments(kills: int, folder: Path, tmp_path: Path) -> None:
    env = environment(tmp_path / "cache")
    build = ("stats", "build", folder, "-m", "fid,kid,isc", "--no-cache", "-o")
    ended(command(*build, tmp_path / "undisturbed.safetensors"), env)
    expected = (tmp_path / "undisturbed.safetensors").read_bytes()
    draw = random.Random(kills)
    done, number = 0, 0
    while done < kills:
        target = tmp_path / f"killed-{number}.safetensors"
        while done < kills and not target.exists():
            done += killed(command(*build, target), env, draw.uniform(0, 1.5))
        ended(command(*build, target), env)
        assert target.read_bytes() == expected
        number += 1
    # Nothing is left of checkpoints whose file is written.
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == sorted(
        ["undisturbed.safetensors", *(f"killed-{turn}.safetensors" for turn in range(number))]
    )


def test_an_evaluation_is_resumed_in_the_cache_folder(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    env = environment(cache)
    arguments = command("eval", folder, "-m", "isc", "--no-cache")
    whole = ended([*arguments, "--json"], env).stdout
    assert not list((cache / "resume").glob("*"))
    assert killed(arguments, env, 0.7)
    assert len(list((cache / "resume").iterdir())) == 1
    # Another command has other checkpoints.
    assert killed([*arguments, "--seed", "7"], env, 0.3)
    assert len(list((cache / "resume").iterdir())) == 2
    shown = ended([sys.executable, "-m", "genmetrics", "cache", "show"], env).stdout
    assert f"checkpoints of 2 unfinished runs in {cache / 'resume'}" in shown
    again = ended([*arguments, "--workers", "1", "--json"], env).stdout
    without_times = [text[: text.index('"seconds"')] for text in (whole, again)]
    assert without_times[0] == without_times[1]
    assert len(list((cache / "resume").iterdir())) == 1
    ended([sys.executable, "-m", "genmetrics", "cache", "clear", "--unfinished"], env)
    assert not list((cache / "resume").iterdir())


def test_without_a_cache_folder(folder: Path, tmp_path: Path) -> None:
    env = environment(tmp_path) | {"GENMETRICS_CACHE": "off"}
    done = subprocess.run(
        command("eval", folder, "-m", "isc"), env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 2
    assert "'--resume' keeps its checkpoints in the cache folder, and GENMETRICS_CACHE=off" in done.stderr
