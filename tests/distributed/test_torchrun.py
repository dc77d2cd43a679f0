"""The commands under torchrun, and under launchers that only set the environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.stats.stats import Stats
from support.ranks import Ended, environment, free_port, run_ranks, run_together, write_images

LITE = "efficientnet-lite0.in1k"
FD, ISC = f"fd.{LITE}", f"isc.{LITE}"
OPTIONS = ["--extractor", LITE, "--device", "cpu", "--workers", "0", "--no-cache"]
KILLED = Path(__file__).with_name("killed_worker.py")
SECONDS = 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("torchrun")
    write_images(home / "gen", 3, 1)
    write_images(home / "ref", 9, 2)
    write_images(home / "bad", 8, 3)
    np.save(home / "images.npy", np.zeros((60, 4, 4, 3), dtype=np.uint8))
    (home / "bad" / "class-1" / "007.png").write_bytes(b"no image at all")
    return home


def torchrun(count: int, *arguments: str) -> Ended:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--master-port"]
    (ended,) = run_together([[*command, str(free_port()), *arguments]], [environment()], SECONDS)
    assert ended.code is not None, f"no end within {SECONDS} s\n{ended.log}"
    return ended


def test_eval_is_one_result(folder: Path) -> None:
    target = folder / "report.json"
    command = ["eval", f"{folder}/gen", "--ref", f"{folder}/ref", "-m", "fid", *OPTIONS, "--json", str(target)]
    ended = torchrun(2, "-m", "genmetrics", *command)
    assert ended.code == 0, ended.log
    report = json.loads(target.read_text())
    expected = gm.evaluate(
        folder / "gen", folder / "ref", ["fid"], extractor=LITE, device="cpu", workers=0, cache=False
    )
    assert report["metrics"][FD]["value"] == pytest.approx(expected[FD].value, rel=1e-6)
    assert report["gen"]["digest"] == expected.gen.digest
    assert (report["gen"]["num_samples"], report["num_processes"]) == (3, 2)
    # One table, one bar, each note once.
    assert ended.out.count(f"report: {target}") == ended.out.count("better   protocol") == 1
    assert ended.log.count("generated: 3/3 images") == ended.log.count("reference: 9/9 images") == 1
    assert ended.out.count("no more images (generated 3, reference 9)") == 1


def test_stats_build_writes_what_one_process_writes(folder: Path) -> None:
    target = folder / "bad.safetensors"
    build = ["stats", "build", f"{folder}/bad", "-o", str(target), "-m", "fid,isc", "--on-bad-image", "skip"]
    ended = torchrun(2, "-m", "genmetrics", *build, *OPTIONS)
    assert ended.code == 0, ended.log
    assert ended.out.count("statistics of 7 images of") == 1
    assert ended.log.count("note: 1 images could not be read and were left out") == 1
    options = {"device": "cpu", "workers": 0, "cache": False, "on_bad_image": "skip"}
    expected = gm.compute_stats(folder / "bad", ["fid", "isc"], extractor=LITE, **options)
    found = Stats.load(target)
    assert found.side.digest == expected.side.digest
    assert found.side.skipped == expected.side.skipped
    assert found.side.parts == expected.side.parts
    for need, held in expected.accumulators.items():
        for field, tensor in held.state().items():
            assert found.accumulators[need].state()[field].numpy() == pytest.approx(tensor.numpy(), rel=1e-5, abs=1e-6)


def test_an_error_is_printed_once_and_all_exit_with_its_code(folder: Path) -> None:
    target = folder / "none.safetensors"
    build = ["-m", "genmetrics", "stats", "build", f"{folder}/bad", "-o", str(target), *OPTIONS]
    ended = torchrun(2, *build)
    assert ended.code == 1  # torchrun's own, whatever its processes'
    assert ended.log.count("genmetrics: error:") == 1
    assert "007.png" in ended.log
    assert "exitcode  : 2 " in ended.log
    assert "exitcode  : 1 " not in ended.log
    assert not target.exists()


def test_ranks_that_were_told_different_things_all_exit_with_2(folder: Path) -> None:
    """As srun starts them, with nothing to end the others, and by different commands on different machines."""
    port = str(free_port())
    places = [{"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": "2", "GROUP_RANK": str(rank)} for rank in (0, 1)]
    environments = [environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **place) for place in places]
    command = [sys.executable, "-m", "genmetrics", "eval", f"{folder}/gen", "-m", "isc", *OPTIONS]
    ended = run_together([command, [*command, "--seed", "7"]], environments, SECONDS)
    assert [rank.code for rank in ended] == [2, 2], "\n".join(rank.log for rank in ended)
    differ = "the ranks of one run differ: seed is 7 on rank 1 and 2020 on rank 0. Start all ranks with the same"
    # Once on each machine.
    assert f"genmetrics: error: rank 1: {differ}\n" in ended[0].log
    assert f"genmetrics: error: {differ}\n" in ended[1].log
    assert ended[0].log.count("error") == ended[1].log.count("error") == 1


def test_an_interrupt_of_one_rank_ends_all_with_130(folder: Path) -> None:
    """Ctrl-C reaches one process only."""
    ended = run_ranks(KILLED, 2, "interrupt", str(folder), seconds=SECONDS)
    assert [rank.code for rank in ended] == [130, 130], "\n".join(rank.log for rank in ended)
    assert [rank.log.count("genmetrics: interrupted; nothing was written") for rank in ended] == [0, 1]


@pytest.mark.slow
def test_a_defect_of_one_rank_ends_all_with_1(folder: Path) -> None:
    ended = run_ranks(KILLED, 2, "defect", str(folder), seconds=SECONDS)
    assert [rank.code for rank in ended] == [1, 1], "\n".join(rank.log for rank in ended)
    assert [rank.log.count("ZeroDivisionError: a defect") for rank in ended] == [0, 1]


def test_torchrun_ends_the_others_of_a_killed_rank(folder: Path) -> None:
    ended = torchrun(2, str(KILLED), "kill", str(folder))
    assert ended.code == 1
    assert "exitcode  : -9" in ended.log
    assert ended.seconds < 30
