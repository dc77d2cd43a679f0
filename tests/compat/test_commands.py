"""What the drop-in commands say and exit with."""

from __future__ import annotations

import warnings

import pytest

from genmetrics.compat.commands import running
from genmetrics.errors import GenmetricsWarning, UsageError


def test_our_errors_are_a_line_and_exit_2(capsys):
    with pytest.raises(SystemExit) as exited, running("pytorch-fid"):
        raise UsageError("dims 7: expected 64, 192, 768 or 2048")
    assert exited.value.code == 2
    assert capsys.readouterr() == ("", "pytorch-fid: error: dims 7: expected 64, 192, 768 or 2048\n")


def test_interrupted(capsys):
    with pytest.raises(SystemExit) as exited, running("pytorch-fid"):
        raise KeyboardInterrupt
    assert exited.value.code == 130
    assert capsys.readouterr().err == "pytorch-fid: interrupted; nothing was written\n"


def test_defects_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), running("pytorch-fid"):
        raise ZeroDivisionError


def test_our_warnings_are_lines_and_others_stay(capsys):
    with running("pytorch-fid"):
        warnings.warn("3 images are left", GenmetricsWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "pytorch-fid: warning: 3 images are left\n")
    with pytest.raises(UserWarning), running("pytorch-fid"):
        warnings.warn("another", UserWarning, stacklevel=1)


def test_warnings_are_as_before_afterwards():
    shown = warnings.showwarning
    with running("pytorch-fid"):
        pass
    assert warnings.showwarning is shown
