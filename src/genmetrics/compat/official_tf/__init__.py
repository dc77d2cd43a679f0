"""What the official TensorFlow scripts have in common: TTUR's ``fid.py`` and improved-gan's Inception Score.

The scripts themselves are ``fid_official_tf``, ``inception_score_official_tf`` and ``precalc_stats_official_tf`` beside
this package, named as lzhbrian/metrics names them; see docs/compat/is-fid-pytorch.md.
"""

from __future__ import annotations

__all__: list[str] = []
