"""clean-fid's modules on our engine: ``from genmetrics.compat.cleanfid import fid``.

``fid``, ``features``, ``resize``, ``utils``, ``wrappers``, ``clip_features``, ``inception_torchscript`` and
``downloads_helper`` have the names and signatures of clean-fid 0.1.35, of PyPI and of its repository. The rest is ours:
``network`` (what a feature model is), ``images`` (what a folder holds), ``passes`` (images to features) and
``statistics`` (the files of statistics). docs/compat/clean-fid.md says what differs.
"""

from __future__ import annotations

__all__: list[str] = []
