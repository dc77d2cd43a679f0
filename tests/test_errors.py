"""The exception tree: what callers may rely on in `except` clauses."""

from __future__ import annotations

import inspect
import re

import pytest

from genmetrics import errors

# name: (parent in the tree, built-in base that it also is)
TREE = {
    "UsageError": ("GenmetricsError", ValueError),
    "UnknownNameError": ("UsageError", ValueError),
    "SourceError": ("GenmetricsError", ValueError),
    "BadImageError": ("SourceError", ValueError),
    "StatisticsError": ("GenmetricsError", ValueError),
    "WeightsError": ("GenmetricsError", None),
    "MissingWeightsError": ("WeightsError", None),
    "DeviceError": ("GenmetricsError", None),
    "OutputError": ("GenmetricsError", None),
    "DistributedError": ("GenmetricsError", None),
    "DependencyError": ("GenmetricsError", ImportError),
}


def defined_errors() -> set[str]:
    return {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
    }


def test_tree_lists_every_error() -> None:
    assert defined_errors() == {*TREE, "GenmetricsError", "GenmetricsWarning", "CacheWarning"}
    assert set(errors.__all__) == defined_errors()


def test_warning_is_one_that_python_shows_and_no_error() -> None:
    assert errors.GenmetricsWarning.__bases__ == (UserWarning,)


@pytest.mark.parametrize("name", TREE)
def test_place_in_the_tree(name: str) -> None:
    error = getattr(errors, name)
    parent, builtin = TREE[name]
    assert error.__bases__[0] is getattr(errors, parent)
    others = {base for base in (ValueError, ImportError, OSError, RuntimeError) if issubclass(error, base)}
    assert others == ({builtin} if builtin else set())


def test_docstring_draws_the_same_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)(?: \((\w+)\))?", errors.__doc__ or ""))
    assert set(drawn) == set(TREE)
    for name, (parent, builtin) in TREE.items():
        inherited = TREE.get(parent, ("", None))[1]
        shown = "" if builtin is None or builtin is inherited else builtin.__name__
        assert drawn[name] == shown, name


def test_message_is_the_text_given() -> None:
    assert str(errors.UsageError("seed -1: expected at least 0")) == "seed -1: expected at least 0"


def test_bad_image_error_carries_names_and_reasons() -> None:
    error = errors.BadImageError("1 image cannot be read", (("a.png", "cut short"),))
    assert str(error) == "1 image cannot be read"
    assert error.images == (("a.png", "cut short"),)
    assert errors.BadImageError("none listed").images == ()
