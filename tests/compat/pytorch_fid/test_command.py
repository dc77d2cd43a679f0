"""``python -m genmetrics.compat.pytorch_fid`` beside ``python -m pytorch_fid`` 0.3.0: every option and README example.

Tolerance: 1e-6 relative to the functions, whose numbers test_runs.py compares (reached: equal, in several processes
1e-7), and 1e-3 to what the original prints, whose root is noisy for so few images (reached: 1e-6).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from genmetrics.compat.pytorch_fid import __version__, fid_score
from genmetrics.errors import GenmetricsWarning
from support.peers import PEERS
from support.pytorch_fid_peer import RUNNER, original, relative
from support.ranks import environment, free_port, run_together

OURS = (sys.executable, "-m", "genmetrics.compat.pytorch_fid")
SAME, BELOW_FULL_RANK = 1e-6, 1e-3
CHEAP = ("--dims", "64", "--device", "cpu", "--num-workers", "0")

pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture(scope="module")
def folders(image_folder: Callable[..., Path]) -> list[str]:
    return [str(image_folder(12, 48, 64, seed=11, warmth=1.0)), str(image_folder(9, 40, 56, seed=12))]


@pytest.fixture(scope="module")
def expected(folders: list[str]) -> float:
    """Our number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenmetricsWarning)
        return float(fid_score.calculate_fid_given_paths(folders, 50, "cpu", 64, 0))


def ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: exit code, and what it wrote to either stream."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pytorch_fid", *arguments])
        code = 0
        try:
            fid_score.main()
        except SystemExit as done:
            code = int(done.code or 0)
        return code, *capsys.readouterr()

    return call


def number(printed: str) -> float:
    """What stands behind the last line's ``FID:`` and two spaces."""
    found = re.fullmatch(r"FID:  (\S+)", printed.splitlines()[-1])
    assert found is not None, printed
    assert repr(float(found[1])) == found[1]  # all its digits
    return float(found[1])


def shape_of(printed: str) -> list[str]:
    return [re.sub(r"[\d.]+(e-\d+)?$", "N", line) for line in printed.splitlines()]


class TestPrinted:
    def test_the_same_lines(self, folders, expected):
        """Beside the number the line on a batch larger than the second set; all else is on standard error."""
        ours, theirs = (ended([*command, *folders, *CHEAP, "--batch-size", "10"]) for command in (OURS, RUNNER))
        assert (ours.returncode, theirs.returncode) == (0, 0), ours.stderr
        assert shape_of(ours.stdout) == shape_of(theirs.stdout)
        assert len(shape_of(theirs.stdout)) == 2
        assert relative(number(ours.stdout), expected) <= SAME
        assert relative(number(ours.stdout), number(theirs.stdout)) <= BELOW_FULL_RANK
        assert "pytorch_fid: warning: the weights of 'inception-v3.tf2015' are not the published ones" in ours.stderr

    def test_as_a_module_of_its_own(self, folders, expected):
        ours = ended(
            [sys.executable, "-m", "genmetrics.compat.pytorch_fid.fid_score", *folders, *CHEAP, "--batch-size", "4"]
        )
        assert ours.returncode == 0, ours.stderr
        assert ours.stdout.startswith("FID:  ") and len(ours.stdout.splitlines()) == 1
        assert relative(number(ours.stdout), expected) <= SAME

    def test_several_processes(self, folders, expected):
        """Under torchrun, which the original does not know: all share the images, and one prints."""
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
        command = [*launcher, str(free_port()), "-m", "genmetrics.compat.pytorch_fid", *folders, *CHEAP]
        (ours,) = run_together([[*command, "--batch-size", "4"]], [environment(GENMETRICS_CACHE="off")], 90)
        assert ours.code == 0, ours.log
        assert len(ours.out.splitlines()) == 1, ours.out
        assert relative(number(ours.out), expected) <= SAME
        assert ours.log.count("are not the published ones") == 1

    def test_several_processes_write_one_file(self, folders, tmp_path):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
        arguments = ["--save-stats", folders[0], str(tmp_path / "x"), *CHEAP]
        command = [*launcher, str(free_port()), "-m", "genmetrics.compat.pytorch_fid", *arguments, "--batch-size", "4"]
        (ours,) = run_together([command], [environment()], 90)
        assert (ours.code, ours.out) == (0, f"Saving statistics for {folders[0]}\n"), ours.log
        assert [each.name for each in tmp_path.iterdir()] == ["x.npz"]


class TestOptions:
    def test_every_option_of_the_original(self):
        ours = {action.dest: action for action in fid_score.parser._actions}
        for action in original.parser._actions:
            mine = ours.pop(action.dest)
            for name in ("option_strings", "nargs", "default", "type", "choices", "const"):
                assert getattr(mine, name) == getattr(action, name), (action.dest, name)
        assert list(ours) == ["gpu"]

    @pytest.mark.parametrize(
        "more",
        [
            ("--batch-size", "7"),
            ("--num-workers", "2"),
            ("--device", "cpu"),
            ("--gpu", ""),
            ("-c", ""),
            (),
        ],
        ids=" ".join,
    )
    def test_each_alone(self, run, folders, expected, more, monkeypatch):
        """Computed anew, and without a GPU where none is named."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setenv("GENMETRICS_CACHE", "off")
        code, out, log = run(*folders, "--dims", "64", *more)
        assert code == 0, log
        assert relative(number(out), expected) <= SAME

    @pytest.mark.parametrize("dims", [64, 192, 768, 2048])
    def test_dims(self, run, monkeypatch, dims):
        """The numbers are compared in test_runs.py."""
        asked = []
        monkeypatch.setattr(fid_score, "calculate_fid_given_paths", lambda *given: asked.append(given[3]) or 1.5)
        assert run("a", "b", "--dims", str(dims))[:2] == (0, "FID:  1.5\n")
        assert asked == [dims]

    def test_dims_that_are_no_layer(self, run):
        code, out, log = run("a", "b", "--dims", "100")
        assert (code, out) == (2, "")
        assert "invalid choice: 100" in log and "192" in log

    def test_save_stats(self, run, folders, expected, tmp_path):
        """README's example without an ending; the file then stands for the folder."""
        target = str(tmp_path / "outputfile")
        code, out, log = run("--save-stats", folders[1], target, *CHEAP)
        assert code == 0, log
        assert out.splitlines()[0] == f"Saving statistics for {folders[1]}"
        assert f"pytorch_fid: warning: the statistics are in '{target}.npz'" in log
        for name in (target, f"{target}.npz"):
            code, out, log = run(folders[0], name, *CHEAP)
            assert code == 0, log
            assert relative(number(out), expected) <= SAME
        code, out, log = run("--save-stats", folders[1], target, *CHEAP)
        assert (code, out) == (2, "")
        assert f"pytorch_fid: error: '{target}.npz' exists, and statistics are written to new files only" in log

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--gpu", "0", "--device", "cpu"), "--gpu '0' and --device 'cpu' both name a device"),
            (("--gpu", "first"), "--gpu 'first': expected the number of a GPU, such as --gpu 0, or '' for the CPU"),
            (("--gpus", "0"), "unrecognized arguments"),
            (("third",), "unrecognized arguments: third"),
        ],
    )
    def test_what_cannot_be_meant(self, run, arguments, message):
        code, out, log = run("a", "b", *arguments)
        assert (code, out) == (2, "")
        assert message in log

    @pytest.mark.parametrize(("gpu", "device"), [("3", "cuda:3"), ("1,2", "cuda:1"), (" ", "cpu"), ("", "cpu")])
    def test_gpu_is_a_device(self, run, monkeypatch, gpu, device):
        """The first of several, as when they were the visible ones; an empty one is the CPU."""
        asked = []
        monkeypatch.setattr(fid_score, "calculate_fid_given_paths", lambda *given: asked.append(given) or 1.5)
        assert run("a", "b", "--gpu", gpu)[:2] == (0, "FID:  1.5\n")
        assert asked == [(["a", "b"], 50, device, 2048, asked[0][4])]

    def test_defaults(self, run, monkeypatch):
        asked = []
        monkeypatch.setattr(fid_score, "calculate_fid_given_paths", lambda *given: asked.append(given) or 1.5)
        run("a", "b")
        assert asked == [(["a", "b"], 50, "auto", 2048, min(8, len(os.sched_getaffinity(0))))]


class TestErrors:
    def test_one_line_and_exit_code_2(self, folders, tmp_path):
        found = ended([*OURS, folders[0], str(tmp_path), "--device", "cpu"])
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith(f"pytorch_fid: error: folder '{tmp_path}' holds no image")
        assert len(found.stderr.splitlines()) == 1

    @pytest.mark.parametrize("device", ["cuda:77", "gpu"])
    def test_a_device_that_is_not_there(self, run, folders, device):
        code, out, log = run(*folders, *CHEAP, "--device", device)
        assert code == 2 and "FID" not in out
        assert f"pytorch_fid: error: {'device' if ':' in device else 'unknown device'} '{device}'" in log


def test_the_version_is_the_original_s():
    assert PEERS["pytorch_fid"] == f"pytorch-fid {__version__}"
