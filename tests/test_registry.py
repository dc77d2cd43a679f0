"""Names, near names, lazy targets and entries of other packages."""

from __future__ import annotations

import sys
import types
from importlib import metadata

import pytest

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.registry import Registry, did_you_mean, load_target

GROUP = "genmetrics.tests.fruits"


@pytest.fixture
def fruits() -> Registry[str]:
    registry: Registry[str] = Registry("fruit", GROUP)
    registry.register("pear", "green")
    registry.register("apple", "red")
    return registry


def offer(monkeypatch: pytest.MonkeyPatch, *points: metadata.EntryPoint) -> list[str]:
    """Stand in for installed packages; returns the groups that were asked for."""
    asked: list[str] = []

    def entry_points(*, group: str) -> tuple[metadata.EntryPoint, ...]:
        asked.append(group)
        return points if group == GROUP else ()

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return asked


def test_order_is_that_of_registration(fruits: Registry[str]) -> None:
    assert list(fruits) == ["pear", "apple"]
    assert fruits.entries() == ("green", "red")
    assert len(fruits) == 2
    assert "pear" in fruits and "plum" not in fruits


def test_taken_name_is_refused_and_keeps_its_meaning(fruits: Registry[str]) -> None:
    with pytest.raises(UsageError, match=r"^fruit 'pear' is registered already; choose another name$"):
        fruits.register("pear", "blue")
    assert fruits.get("pear") == "green"


@pytest.mark.parametrize("asked", ["aple", "APPLE", "appel"])
def test_near_name_is_suggested(fruits: Registry[str], asked: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"^unknown fruit '{asked}'; did you mean 'apple'\?$"):
        fruits.get(asked)


def test_far_name_lists_all(fruits: Registry[str]) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown fruit 'zzz'; known: apple, pear$"):
        fruits.get("zzz")


def test_did_you_mean_joins_several() -> None:
    assert did_you_mean("fid_9", ["fid_64", "fid_92", "kid"]) == "did you mean 'fid_92' or 'fid_64'?"


def test_target_is_imported_when_loaded(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "genmetrics_lazy_target.py").write_text("ANSWER = 6 * 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[str] = Registry("plug", GROUP)
    registry.register("lazy", "genmetrics_lazy_target:ANSWER")
    assert "genmetrics_lazy_target" not in sys.modules
    try:
        assert load_target(registry.get("lazy")) == 42
    finally:
        sys.modules.pop("genmetrics_lazy_target", None)


def test_target_without_attribute_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^target 'os.path': expected 'module:Attribute'$"):
        load_target("os.path")


def test_entry_points_come_after_the_built_in_ones(fruits: Registry[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = offer(monkeypatch, metadata.EntryPoint("fig", "string:digits", GROUP))
    assert list(fruits) == ["pear", "apple", "fig"]
    assert fruits.get("fig") == "0123456789"
    assert "fig" in fruits
    assert asked == [GROUP]


def test_entry_points_are_not_asked_for_before_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = offer(monkeypatch, metadata.EntryPoint("fig", "string:digits", GROUP))
    registry: Registry[str] = Registry("fruit", GROUP)
    registry.register("pear", "green")
    assert asked == []
    assert len(registry) == 2
    assert asked == [GROUP]


def test_entry_point_cannot_take_a_name(fruits: Registry[str], monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, metadata.EntryPoint("pear", "string:digits", GROUP))
    with pytest.raises(UsageError, match="fruit 'pear' is registered already"):
        fruits.get("pear")


def test_a_broken_entry_point_is_named_every_time(fruits: Registry[str], monkeypatch: pytest.MonkeyPatch) -> None:
    good = metadata.EntryPoint("fig", "string:digits", GROUP)
    offer(monkeypatch, good, metadata.EntryPoint("plum", "no_such_module_anywhere:PLUM", GROUP))
    for _ in range(2):
        with pytest.raises(UsageError, match=r"the fruit 'plum' of .* cannot be loaded from 'no_such_module_anywhere"):
            fruits.get("pear")


def make_entry(name: str) -> str:
    """What a name that begins with ``made:`` stands for."""
    if name.endswith("nothing"):
        raise UsageError(f"{name!r} means nothing")
    return name.upper()


class TestMakers:
    @pytest.fixture
    def registry(self, monkeypatch: pytest.MonkeyPatch) -> Registry[str]:
        module = types.ModuleType("genmetrics_makers")
        module.make_entry = make_entry
        monkeypatch.setitem(sys.modules, module.__name__, module)
        registry: Registry[str] = Registry("thing", "genmetrics.things_of_nobody")
        registry.register("plain", "PLAIN")
        registry.register_maker("made:", "genmetrics_makers:make_entry")
        return registry

    def test_names_that_were_never_registered(self, registry):
        assert registry.get("made:a/b.c") == "MADE:A/B.C"
        assert registry.get("plain") == "PLAIN"
        assert list(registry) == ["plain"] and len(registry) == 1, "they are not listed"

    def test_looking_makes_nothing(self, registry, monkeypatch):
        monkeypatch.setattr(sys.modules["genmetrics_makers"], "make_entry", lambda name: pytest.fail("made"))
        assert "plain" in registry and "made:x" not in registry
        assert "made:nothing" not in registry and "other:x" not in registry and 3 not in registry
        assert registry.makes("made:x") and not registry.makes("plain") and not registry.makes("other:x")

    def test_what_cannot_be_made(self, registry):
        with pytest.raises(UsageError, match="'made:nothing' means nothing"):
            registry.get("made:nothing")
        with pytest.raises(UnknownNameError, match="unknown thing 'other:x'"):
            registry.get("other:x")

    def test_a_registered_name_comes_first(self, registry):
        registry.register("made:x", "registered")
        assert registry.get("made:x") == "registered" and not registry.makes("made:x")

    def test_a_prefix_has_one_maker(self, registry):
        with pytest.raises(UsageError, match="names of things that begin with 'made:' are taken already"):
            registry.register_maker("made:", "x:y")
