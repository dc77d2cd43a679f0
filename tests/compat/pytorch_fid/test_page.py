"""docs/compat/pytorch-fid.md says what the command takes, and shows commands that work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genmetrics.compat.pytorch_fid import fid_score, inception

PAGE = (Path(__file__).parents[3] / "docs" / "compat" / "pytorch-fid.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(?:torchrun [^`]*-m |python -m )genmetrics\.compat\.pytorch_fid ([^`]+)`", PAGE)))


def test_every_option_and_name_is_on_the_page():
    for action in fid_score.parser._actions:
        for option in action.option_strings:
            assert option in ("-h", "--help") or f"`{option}" in PAGE, option
    for name in (*fid_score.__all__, *inception.__all__):
        assert f"`{name}`" in PAGE, name


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_can_be_given(command):
    args = fid_score.parser.parse_args(command.split())
    assert len(args.path) == 2


def test_the_example_can_be_imported():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    imports = [line for line in example.splitlines() if line.startswith("from ")]
    assert len(imports) == 2
    for line in imports:
        exec(line, {})
