"""The versions that a record carries."""

from __future__ import annotations

import pytest

from genmetrics.versions import versions


def test_versions_name_what_touches_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("importlib.metadata.version", lambda name: asked.append(name) or f"{name} 1.0")
    found = versions()
    assert found["torch"] == "torch 1.0"
    assert set(found) == {"genmetrics", "torch", "numpy", "pillow", "python", "platform"}
