"""``genmetrics weights``: which weight files are here, fetch them, make them from the official graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from genmetrics.cli.console import reporting_errors, say

__all__ = ["weights_app"]

weights_app = typer.Typer(help="Show, fetch and convert weight files.", no_args_is_help=True, rich_markup_mode=None)

_INCEPTION = "inception-v3.tf2015"


@weights_app.command("status")
def status_command(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects with 'id'.")] = False,
) -> None:
    """Show which weight files are here, without any network."""
    with reporting_errors():
        from genmetrics.errors import WeightsError
        from genmetrics.extractors.builtin import PUBLISHED
        from genmetrics.extractors.hub_files import hub_cache
        from genmetrics.extractors.weights import find_weights, search_folders

        entries = []
        for name, published in PUBLISHED.items():
            entry: dict[str, object] = {
                "id": name,
                "path": None,
                "official": None,
                "sha256": None,
                "problem": None,
            }
            try:
                found = find_weights(published)
            except WeightsError as error:
                entry["problem"] = str(error)
            else:
                if found is None:
                    entry["problem"] = "not here"
                else:
                    entry.update(path=str(found.path), official=found.official, sha256=found.sha256)
            entries.append(entry)
        if as_json:
            print(json.dumps(entries, indent=2))
            return
        for entry in entries:
            if entry["path"]:
                kind = "official" if entry["official"] else "NOT the official content"
                print(f"{entry['id']}: {entry['path']} ({kind}, sha256 {str(entry['sha256'])[:12]})")
            else:
                print(f"{entry['id']}: {entry['problem']}; 'genmetrics weights fetch {entry['id']}' gets it")
        print("looked in: " + ", ".join(str(folder) for folder in [*search_folders(), hub_cache()]))


@weights_app.command("fetch")
def fetch_command(
    extractor: Annotated[str, typer.Argument(help="The extractor whose weights to fetch.")] = _INCEPTION,
) -> None:
    """Download the published weight file; it appears only when it is whole and its sha256 is right."""
    with reporting_errors():
        from genmetrics.errors import UsageError
        from genmetrics.extractors import EXTRACTORS
        from genmetrics.extractors.builtin import PUBLISHED
        from genmetrics.extractors.weights import fetch_weights, find_weights

        if EXTRACTORS.get(extractor).id not in PUBLISHED:
            raise UsageError(f"extractor {extractor!r} takes care of its own weights; there is nothing to fetch")
        published = PUBLISHED[extractor]
        found = find_weights(published)
        if found is None:
            say(f"fetching the weights of {extractor} ...")
            found = fetch_weights(published)
        print(f"{extractor}: {found.path} ({'official' if found.official else 'NOT the official content'})")


@weights_app.command("convert")
def convert_command(
    graph: Annotated[
        Path,
        typer.Argument(metavar="GRAPH", help="The official classify_image_graph_def.pb.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A .safetensors or .pth file.")] = Path(
        "inception-v3.tf2015.safetensors"
    ),
) -> None:
    """Make the weights of inception-v3.tf2015 from the official TensorFlow graph, without TensorFlow."""
    with reporting_errors():
        from genmetrics.errors import UsageError
        from genmetrics.files import check_writable

        if output.suffix not in (".safetensors", ".pth"):
            raise UsageError(f"output '{output}': expected a name ending in .safetensors or .pth")
        check_writable(output)
        import torch
        from safetensors.torch import save_file

        from genmetrics.extractors.inception_graph import inception_state_dict

        state = inception_state_dict(graph)
        if output.suffix == ".pth":
            torch.save(state, output)
        else:
            save_file(state, output)
        print(f"{output}: {len(state)} tensors")
        print(f"use it with: genmetrics eval GEN --ref REF --weights {output}")
