"""The versions that a record carries."""

from __future__ import annotations

import sys
import types

import pytest

from genmetrics.versions import version_of, versions


def test_versions_name_what_touches_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("importlib.metadata.version", lambda name: asked.append(name) or f"{name} 1.0")
    for name in ("openvino", "transformers", "tokenizers", "torchvision"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = versions()
    assert found["torch"] == "torch 1.0"
    assert set(found) == {"genmetrics", "torch", "numpy", "pillow", "python", "platform"}


def test_optional_packages_are_named_where_they_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are imported by nobody to find out."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1.0")
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.delitem(sys.modules, "tokenizers", raising=False)
    found = versions()
    assert found["transformers"] == "transformers 1.0" and "tokenizers" not in found
    assert "tokenizers" not in sys.modules


def test_a_package_that_is_not_installed() -> None:
    assert version_of("no-such-package-anywhere") == "unknown"
