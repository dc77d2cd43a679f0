"""What a person sees of a run while it goes on."""

from __future__ import annotations

import sys

import pytest

from genmetrics.cli.progress import showing_progress
from genmetrics.types import Progress

RECORDS = (
    Progress("advice", 1, 2, "few [images] of 5"),
    Progress("advice", 2, 2, "save them as PNG"),
    Progress("ref", 0, 10, "real"),
    Progress("ref", 10, 10, "real"),
    Progress("metrics", 0, 1, "fid"),
)


@pytest.mark.parametrize("terminal", [False, True])
def test_advice_is_a_line_of_its_own_before_all_else(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with showing_progress(quiet=False) as show:
        for record in RECORDS:
            show(record)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.index("advice: few [images] of 5\n") < err.index("advice: save them as PNG\n") < err.index("reference")
    assert err.count("advice: ") == 2
    assert "10/10" in err


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_progress(quiet=True) as show:
        for record in RECORDS:
            show(record)
    assert capsys.readouterr() == ("", "")
