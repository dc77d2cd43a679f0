"""``configs/datasets/NAME.py`` of a checkout of vq: what can be read from it without running it.

Such a file is Python. It is parsed and never executed: of its ``_export_`` the literal values that say which images
are meant are taken, and whatever else it holds is named.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genmetrics.errors import SourceError

__all__ = ["CONFIGS", "DatasetConfig", "read_config"]

CONFIGS = Path("configs/datasets")
_TYPES = {"VQDatasetRegistry.Dataset": "folder", "VQDatasetRegistry.ImageNetDataset": "imagenet"}
_BASES = {"vanilla.py": "VQDatasetRegistry.Dataset"}


@dataclass(frozen=True)
class DatasetConfig:
    """What a dataset's file says.

    Attributes:
        path: the file.
        name: the dataset's name, under which its statistics are kept: ``ffhq_val``.
        kind: ``folder``, or ``imagenet`` for the layout of ImageNet.
        folder: the folder of a ``folder``'s images; None for ``imagenet``.
        suffix: the ending of its image files without the dot; None for all that are images.
        recursive: whether subfolders are entered.
        split: of ``imagenet``.
        unread: keys in the part for this split that were not read.
    """

    path: Path
    name: str
    kind: str
    folder: Path | None
    suffix: str | None
    recursive: bool
    split: str
    unread: tuple[str, ...] = field(default=())


def read_config(path: Path, train: bool) -> DatasetConfig:
    """Read a dataset's file.

    Args:
        path: the file.
        train: whether its trainer's dataset is meant, and not its validator's.

    Raises:
        SourceError: if it cannot be read, or says something that only running it would tell.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
        raise SourceError(f"'{path}' cannot be read as Python ({error}); {_INSTEAD}") from error
    values = _constants(path, tree)
    part = "trainer" if train else "validator"
    exported = values.get("_export_")
    found = exported.get(part) if isinstance(exported, Mapping) else None
    dataset = found.get("dataset") if isinstance(found, Mapping) else None
    if not isinstance(dataset, Mapping):
        raise SourceError(f"'{path}' holds no literal '_export_[{part!r}][\"dataset\"]'; {_INSTEAD}")
    bases = values.get("_base_", [])
    kind = dataset.get("type", next((_BASES[base] for base in bases if base in _BASES), None))
    if kind not in _TYPES:
        raise SourceError(
            f"'{path}' describes a dataset of type {kind!r}, which only vq itself reads; read here are "
            f"{' and '.join(_TYPES)}. {_INSTEAD[0].upper()}{_INSTEAD[1:]}"
        )
    layer = dataset.get("access_layer", {})
    used = {"type", "name", "split", "access_layer", "num_categories"}
    unread = [key for key in dataset if key not in used]
    unread += [f"access_layer.{key}" for key in layer if key not in _LAYER]
    name = _text(path, dataset, "name")
    if _TYPES[kind] == "imagenet":
        return DatasetConfig(path, name, "imagenet", None, None, True, _text(path, dataset, "split"), tuple(unread))
    folder = Path(_text(path, layer, "data_root")) / layer.get("task_name", "")
    recursive = layer.get("subfolder_action", "none") == "walk"
    return DatasetConfig(path, name, "folder", folder, layer.get("suffix"), recursive, "", tuple(unread))


_LAYER = ("type", "data_root", "task_name", "suffix", "subfolder_action")
_INSTEAD = "it is never run; give the folder of the images in place of the dataset's name"


def _text(path: Path, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise SourceError(f"'{path}' says no literal {key!r} of its dataset (found {value!r}); {_INSTEAD}")
    return value


def _constants(path: Path, tree: ast.Module) -> dict[str, Any]:
    """The names that the file sets to literals, or to dicts of them."""
    values: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                values[target.id] = _literal(value, values)
    return values


class _Unknown:
    """Stands for what only running the file would tell."""

    def __repr__(self) -> str:
        return "an expression"


def _literal(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a constant, a name of one, a container of them, or a call of ``dict`` with keywords."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(element, values) for element in node.elts]
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        return dict(zip(keys, (_literal(value, values) for value in node.values), strict=True))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "dict"
        and not node.args
        and all(keyword.arg is not None for keyword in node.keywords)
    ):
        return {str(keyword.arg): _literal(keyword.value, values) for keyword in node.keywords}
    return _Unknown()
