"""Other projects' names, calls, flags, printed lines and files on our engine.

Each project has a package of its own here, whose modules are called as the project's, so that a script needs another
import line and nothing else; docs/compat has a page for each. Only here do other projects' names for things hold
(``input1``, ``real``); the numbers are those of our metrics with the protocol that the project follows.

To add a project: a package of its name in this folder, tests that run the original beside it, and a page.
"""

from __future__ import annotations

__all__: list[str] = []
