"""What a reader must know of a number because of the networks behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genmetrics.precision_effect import effect_of, family_of
from genmetrics.types import ExtractorRecord, MetricResult, Precision

__all__ = ["with_provenance"]


def with_provenance(result: MetricResult, behind: Sequence[tuple[str, ExtractorRecord]]) -> MetricResult:
    """The result with what is to be said of the networks behind it, each by its name, on either side."""
    warnings = list(result.warnings)
    warnings += [
        f"the weights of {name!r} are not the published ones (sha256 {record.weights_sha256[:12]}…): the number "
        "does not compare with published ones"
        for name, record in behind
        if record.weights_sha256 is not None and record.official is False
    ]
    inexact = [record.precision for _, record in behind if record.precision is not None and record.precision != "exact"]
    warnings += [f"the network ran in {precision}, which published numbers did not" for precision in inexact]
    warnings += _effects(result.id, behind)
    protocol = replace(result.protocol, precision=inexact[0]) if inexact else result.protocol
    return replace(result, protocol=protocol, warnings=tuple(dict.fromkeys(warnings)))


def _effects(metric: str, behind: Sequence[tuple[str, ExtractorRecord]]) -> list[str]:
    """How far a faster precision moved such a number where that was measured, of each network behind it."""
    precisions: dict[str, set[Precision]] = {}
    for name, record in behind:
        if record.precision is not None:
            precisions.setdefault(name, set()).add(record.precision)
    return [
        effect_of(family_of(metric), name, precision, one_side="exact" in found)
        for name, found in precisions.items()
        for precision in sorted(found - {"exact"})
    ]
