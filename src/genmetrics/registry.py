"""Named things that can be extended from outside: metrics, extractors, sources, preprocessings.

A registry holds light descriptions; what they describe is imported when it is first built. Third parties add
entries by calling ``register`` or through a packaging entry point of the registry's group, whose target is a
description of the same type.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from importlib import metadata
from typing import Any, Generic, TypeVar

from genmetrics.errors import UnknownNameError, UsageError

__all__ = ["Registry", "did_you_mean", "load_target"]

Entry = TypeVar("Entry")

#: Letters from which a beginning tells what was meant.
_LEAST = 3


def did_you_mean(name: str, known: list[str], ending: str = "") -> str:
    """A sentence that names the nearest known names, or those that begin so, or all of them if there are none.

    Args:
        name: what was typed.
        known: what there is.
        ending: what follows each name that the sentence names.
    """
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    if not near and len(name) >= _LEAST:
        near = [entry for entry in known if entry.startswith(name.lower())][:3]
    if near:
        return f"did you mean {' or '.join(repr(entry + ending) for entry in near)}?"
    return f"known: {', '.join(entry + ending for entry in sorted(known))}"


def load_target(target: str) -> Any:
    """The object that ``module:Attribute`` names, imported now."""
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise UsageError(f"target {target!r}: expected 'module:Attribute'")
    return getattr(importlib.import_module(module_name), attribute)


class Registry(Generic[Entry]):
    """Entries by name, in order of registration, with those of entry points after the built-in ones."""

    def __init__(self, kind: str, group: str) -> None:
        """Create an empty registry.

        Args:
            kind: what an entry is, for messages: ``metric``.
            group: the entry-point group that third parties use: ``genmetrics.metrics``.
        """
        self._kind = kind
        self._group = group
        self._entries: dict[str, Entry] = {}
        self._makers: dict[str, str] = {}
        self._entry_points_loaded = False

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            UsageError: if the name is taken. A name is a protocol: what it stands for never changes.
        """
        if name in self._entries:
            raise UsageError(f"{self._kind} {name!r} is registered already; choose another name")
        self._entries[name] = entry

    def register_maker(self, prefix: str, target: str) -> None:
        """Let names that begin with a prefix stand for what they say, which need not be registered.

        Args:
            prefix: such as ``hf:``.
            target: ``module:function`` that makes the entry of a name; imported when such a name is first asked for.

        Raises:
            UsageError: if the prefix is taken.
        """
        if prefix in self._makers:
            raise UsageError(f"names of {self._kind}s that begin with {prefix!r} are taken already; choose another")
        self._makers[prefix] = target

    def get(self, name: str) -> Entry:
        """The entry of that name, made now if the name says what it is made of.

        That may run code or reach the network: a name that stands in a file, in place of one that a person typed, is
        asked for only if it is registered (``name in registry``).

        Raises:
            UnknownNameError: if there is none; the message names the nearest ones.
            GenmetricsError: if the name says what the entry is made of, and that is not there or cannot be used.
        """
        self._load_entry_points()
        try:
            return self._entries[name]
        except KeyError:
            for prefix, target in self._makers.items():
                if name.startswith(prefix):
                    made: Entry = load_target(target)(name)
                    return made
            hint = did_you_mean(name, list(self._entries))
            raise UnknownNameError(f"unknown {self._kind} {name!r}; {hint}") from None

    def __contains__(self, name: object) -> bool:
        """Whether an entry of that name is registered; nothing is made to find out, so any name may be asked for."""
        self._load_entry_points()
        return name in self._entries

    def makes(self, name: str) -> bool:
        """Whether ``get`` would have a maker make it, which may run code or reach the network; it is not made."""
        return name not in self and name.startswith(tuple(self._makers))

    def __iter__(self) -> Iterator[str]:
        self._load_entry_points()
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        self._load_entry_points()
        return len(self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """All entries in order."""
        self._load_entry_points()
        return tuple(self._entries.values())

    def _load_entry_points(self) -> None:
        if self._entry_points_loaded:
            return
        found = {}
        for point in metadata.entry_points(group=self._group):
            try:
                found[point.name] = point.load()
            except Exception as error:
                package = point.dist.name if point.dist else "an installed package"
                raise UsageError(
                    f"the {self._kind} {point.name!r} of {package!r} cannot be loaded from '{point.value}': "
                    f"{type(error).__name__}: {error}; mend or uninstall that package"
                ) from error
        self._entry_points_loaded = True
        for name, entry in found.items():
            self.register(name, entry)
