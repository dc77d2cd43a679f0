"""``auto_torchrun``: how many processes, that they meet, what becomes of their exit codes, and one result of all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from compat.vq.conftest import child_environment, vq_fid_command, vq_image
from genmetrics.compat.vq import auto_torchrun
from genmetrics.compat.vq.auto_torchrun import number_of_processes
from genmetrics.compat.vq.image_generation import load
from genmetrics.errors import UsageError
from support.ranks import Ended, run_together

WORKER = Path(__file__).with_name("torchrun_worker.py")
COMMAND = [sys.executable, "-m", "genmetrics.compat.vq.auto_torchrun"]
SECONDS = 180


def started(*arguments: str) -> Ended:
    (ended,) = run_together([[*COMMAND, *arguments]], [child_environment()], SECONDS)
    assert ended.code is not None, ended.log
    return ended


class TestHowMany:
    def test_one_for_each_gpu(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.delenv("nproc_per_node", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
        assert number_of_processes(None) == 4
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
        assert number_of_processes(None) == 4
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
        assert number_of_processes(None) == 4
        assert "CUDA_VISIBLE_DEVICES is '0,1,2,3,4', and torch finds 4 such GPU(s)" in capsys.readouterr().err

    def test_one_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("nproc_per_node", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert number_of_processes(None) == 1

    def test_as_many_as_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("nproc_per_node", "3")
        assert number_of_processes(None) == 3
        assert number_of_processes("2") == 2
        for text in ("0", "-1", "two"):
            with pytest.raises(UsageError, match=f"--nproc '{text}': expected how many processes to start"):
                number_of_processes(text)

    @pytest.mark.parametrize(
        ("given", "count", "rest"),
        [
            (["--nproc", "2", "-m", "x", "--flag", "9"], 2, ["-m", "x", "--flag", "9"]),
            (["--nproc=2", "x.py"], 2, ["x.py"]),
            (["x.py", "--standalone"], 1, ["x.py", "--standalone"]),
        ],
    )
    def test_what_torchrun_is_given(
        self, given: list[str], count: int, rest: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran = []
        monkeypatch.setattr(auto_torchrun, "_run", ran.append)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        auto_torchrun.main(given)
        assert ran == [[f"--nproc-per-node={count}", "--standalone", "--local-addr=127.0.0.1", *rest]]

    @pytest.mark.parametrize(
        "place", ["--master-port=5001", "--nnodes=2", "--rdzv-endpoint=host:1", "--standalone", "--node-rank=1"]
    )
    def test_a_place_that_was_chosen_stays(self, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        ran = []
        monkeypatch.setattr(auto_torchrun, "_run", ran.append)
        auto_torchrun.main(["--nproc", "2", place, "x.py"])
        assert ran == [["--nproc-per-node=2", place, "x.py"]]

    def test_a_place_in_the_environment_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ran = []
        monkeypatch.setattr(auto_torchrun, "_run", ran.append)
        monkeypatch.setenv("PET_RDZV_ENDPOINT", "host:1")
        auto_torchrun.main(["--nproc", "2", "x.py"])
        assert ran == [["--nproc-per-node=2", "x.py"]]

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ([], "usage: auto_torchrun"),
            (["--nproc"], "--nproc has nothing behind it"),
            (["--nproc", "2"], "there is nothing to start; expected -m MODULE or a SCRIPT"),
            (["--nproc", "0", "x.py"], "a whole number of at least 1"),
            (["--no-such-option", "x.py"], "unrecognized arguments: --no-such-option"),
        ],
    )
    def test_wrong_usage(self, given: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            auto_torchrun.main(given)
        assert text in capsys.readouterr().err

    def test_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="0"):
            auto_torchrun.main(["--help"])
        assert capsys.readouterr().out.startswith("usage: auto_torchrun [--nproc N]")


class TestProcesses:
    def test_arguments_and_environment_arrive(self) -> None:
        ended = started("--nproc", "2", str(WORKER), "say", "--train", "a b")
        assert ended.code == 0, ended.log
        assert sorted(ended.out.splitlines()) == ["0 of 2: say --train a b", "1 of 2: say --train a b"]

    def test_the_exit_code_is_passed_on(self) -> None:
        ended = started("--nproc", "2", str(WORKER), "exit", "0", "7")
        assert ended.code == 7
        assert "exitcode  : 7" in ended.log
        assert "Traceback" not in ended.log

    def test_an_interrupt_ends_all(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [*COMMAND, "--nproc", "2", str(WORKER), "wait", str(tmp_path)],
            env=child_environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            until = time.monotonic() + SECONDS
            while len(found := list(tmp_path.glob("here*"))) < 2:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode == 130
            for path in found:
                with pytest.raises(ProcessLookupError):
                    os.kill(int(path.name.partition("-")[2]), 0)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def test_two_processes_write_what_one_writes(home: Path, real_statistics: Path) -> None:
    """Seven images, which two processes cannot share evenly: the original counts one of them twice."""
    (ended,) = run_together([vq_fid_command(2)], [child_environment()], SECONDS)
    assert ended.code == 0, ended.log
    assert ended.log.count("pretrained/fid/real.pth: statistics of 7 images of data/real") == 1
    assert ended.log.count("vq.fid: weights:") == 1
    assert [path.name for path in Path("pretrained/fid").iterdir()] == ["real.pth"]
    assert Path("pretrained/fid/real.pth").read_bytes() == real_statistics.read_bytes()


def test_the_metric_over_two_processes(
    vq_home: Path, real_rows: Path, todd_features: dict[str, np.ndarray], tmp_path: Path
) -> None:
    images = torch.stack([vq_image(path) for path in sorted((vq_home / "data/real").glob("*.png"))])
    torch.save(images, tmp_path / "images.pt")
    (tmp_path / "weights.pth").symlink_to(vq_home / "pretrained/pytorch-fid/pt_inception.pth")
    (tmp_path / "ref.safetensors").symlink_to(real_rows)
    ended = started("--nproc", "2", str(WORKER), "metric", str(tmp_path))
    assert ended.code == 0, ended.log
    (value, mu, sigma), other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=False) for rank in (0, 1))
    # The set against itself, every image once: nothing is left but rounding.
    assert value == pytest.approx(0, abs=1e-4)
    assert (value, mu.tobytes(), sigma.tobytes()) == (other[0], other[1].tobytes(), other[2].tobytes())
    alone = load(real_rows)
    assert np.abs(mu - alone.mu).max() < 1e-6
    assert np.abs(sigma - alone.sigma).max() < 1e-6
    # With an image twice, as the original has it, it is another set: the tolerances tell the two apart.
    rows = todd_features["real"]
    assert np.abs(np.concatenate((rows, rows[:1])).mean(axis=0) - alone.mu).max() > 1e-3
