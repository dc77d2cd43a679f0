"""What ``import genmetrics`` promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import genmetrics as gm


def test_all_is_small_sorted_and_there():
    assert len(gm.__all__) <= 25
    assert gm.__all__ == sorted(gm.__all__)
    for name in gm.__all__:
        assert getattr(gm, name) is not None
    assert dir(gm) == gm.__all__


def test_the_function_evaluate_is_never_hidden_by_a_module():
    code = "import genmetrics.engine.evaluate, genmetrics as gm; assert callable(gm.evaluate), gm.evaluate"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "statement", ["import genmetrics", "import genmetrics; genmetrics.__version__; dir(genmetrics)"]
)
def test_importing_it_imports_nothing_heavy(statement):
    """Nothing but Python's own modules, whatever is installed beside them."""
    code = (
        f"import sys; before = set(sys.modules); {statement}\n"
        "outside = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "assert outside == {'genmetrics'}, outside"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = gm.evaluat


def test_version_is_the_projects():
    assert f'\nversion = "{gm.__version__}"\n' in (Path(__file__).parents[1] / "pyproject.toml").read_text()


def test_every_docstring_of_matches_names_a_test_that_exists():
    root = Path(__file__).parents[1]
    named = {
        word.strip("`.;,()")
        for path in (root / "src").rglob("*.py")
        for word in path.read_text().split()
        if "tests/" in word
    }
    assert named
    assert [name for name in sorted(named) if not (root / name).is_file()] == []
