"""genmetrics: how good is a generative image model.

FID, KID, Inception Score and more, equal to their published protocols, from one pass over the images.

    import genmetrics as gm
    report = gm.evaluate(gen="samples/", ref="real/", metrics=["fid", "kid", "isc"])
    report["fid"].value

Everything heavy is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genmetrics.engine.compare import compare
    from genmetrics.engine.evaluate import compute_stats, evaluate
    from genmetrics.engine.evaluator import Evaluator
    from genmetrics.engine.listing import list_extractors, list_metrics, list_sources
    from genmetrics.engine.page import write_page
    from genmetrics.errors import GenmetricsError, GenmetricsWarning
    from genmetrics.extractors import register_extractor
    from genmetrics.metrics import register_metric
    from genmetrics.report.report import Report
    from genmetrics.sources import register_source
    from genmetrics.sources.datasets import list_datasets, register_dataset
    from genmetrics.sources.generator import GeneratorSource
    from genmetrics.sources.parse import open_source
    from genmetrics.stats.stats import Stats
    from genmetrics.types import MetricResult, Progress, Protocol

    __version__: str

__all__ = [
    "Evaluator",
    "GeneratorSource",
    "GenmetricsError",
    "GenmetricsWarning",
    "MetricResult",
    "Progress",
    "Protocol",
    "Report",
    "Stats",
    "__version__",
    "compare",
    "compute_stats",
    "evaluate",
    "list_datasets",
    "list_extractors",
    "list_metrics",
    "list_sources",
    "open_source",
    "register_dataset",
    "register_extractor",
    "register_metric",
    "register_source",
    "write_page",
]

_HOMES = {
    "Evaluator": "genmetrics.engine.evaluator",
    "GeneratorSource": "genmetrics.sources.generator",
    "GenmetricsError": "genmetrics.errors",
    "GenmetricsWarning": "genmetrics.errors",
    "MetricResult": "genmetrics.types",
    "Progress": "genmetrics.types",
    "Protocol": "genmetrics.types",
    "Report": "genmetrics.report.report",
    "Stats": "genmetrics.stats.stats",
    "compare": "genmetrics.engine.compare",
    "compute_stats": "genmetrics.engine.evaluate",
    "evaluate": "genmetrics.engine.evaluate",
    "list_datasets": "genmetrics.sources.datasets",
    "list_extractors": "genmetrics.engine.listing",
    "list_metrics": "genmetrics.engine.listing",
    "list_sources": "genmetrics.engine.listing",
    "open_source": "genmetrics.sources.parse",
    "register_dataset": "genmetrics.sources.datasets",
    "register_extractor": "genmetrics.extractors",
    "register_metric": "genmetrics.metrics",
    "register_source": "genmetrics.sources",
    "write_page": "genmetrics.engine.page",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("genmetrics")
    if name not in _HOMES:
        raise AttributeError(f"module 'genmetrics' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
