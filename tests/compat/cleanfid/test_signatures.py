"""Names, arguments and defaults are clean-fid 0.1.35's."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

from support.peers import import_peer

MODULES = {
    "inception_pytorch": ("InceptionV3", "fid_inception_v3"),
    "fid": (
        "compute_fid",
        "compute_kid",
        "make_custom_stats",
        "remove_custom_stats",
        "test_stats_exists",
        "get_folder_features",
        "get_files_features",
        "get_model_features",
        "get_batch_features",
        "fid_folder",
        "fid_model",
        "compare_folders",
        "fid_from_feats",
        "frechet_distance",
        "kernel_distance",
        "build_feature_extractor",
        "get_reference_statistics",
        "build_resizer",
        "make_resizer",
    ),
    "features": ("feature_extractor", "build_feature_extractor", "get_reference_statistics"),
    "resize": ("build_resizer", "make_resizer", "FolderResizer"),
    "utils": ("ResizeDataset",),
    "wrappers": ("CleanFID",),
    "inception_torchscript": ("InceptionV3W",),
    "downloads_helper": ("check_download_url",),
}
#: Where clean-fid has no default, and its own documents leave the argument out.
OPTIONAL = {"mode", "feat_model", "model", "path"}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in MODULES.items() for name in names])
def test_signature(module, name):
    ours = inspect.signature(getattr(importlib.import_module(f"genmetrics.compat.cleanfid.{module}"), name)).parameters
    theirs = inspect.signature(getattr(import_peer(f"cleanfid.{module}"), name)).parameters
    assert [name for name, one in ours.items() if one.kind != one.KEYWORD_ONLY] == list(theirs)
    for argument, parameter in theirs.items():
        default = ours[argument].default
        if parameter.default in (torch.device("cuda"), "cuda"):
            assert default == "auto", argument
        elif parameter.default is parameter.empty:
            assert default is parameter.empty or argument in OPTIONAL, argument
        else:
            assert default == parameter.default, argument


@pytest.mark.parametrize("name", ["add_real_images", "add_gen_images", "calculate_fid", "compute_features"])
def test_methods(name):
    ours = importlib.import_module("genmetrics.compat.cleanfid.wrappers").CleanFID
    theirs = import_peer("cleanfid.wrappers").CleanFID
    assert list(inspect.signature(getattr(ours, name)).parameters) == list(
        inspect.signature(getattr(theirs, name)).parameters
    )


PAGE = Path(__file__).parents[3] / "docs" / "compat" / "clean-fid.md"


def test_the_page_names_every_argument():
    text = PAGE.read_text()
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|", text.partition("## Arguments")[2].partition("## Statistics")[0], re.M
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    fid = importlib.import_module("genmetrics.compat.cleanfid.fid")
    assert named == set(inspect.signature(fid.compute_fid).parameters)
    for module in MODULES:
        assert f"`{module}`" in text


def test_the_calls_on_the_page_are_calls():
    """Every clean-fid call in the table of calls has arguments that our functions take."""
    fid = importlib.import_module("genmetrics.compat.cleanfid.fid")
    calls = re.findall(r"`fid\.(\w+)\((.*?)\)` \|", PAGE.read_text())
    assert len(calls) >= 9
    for name, arguments in calls:
        bind = inspect.signature(getattr(fid, name)).bind
        eval(f"bind({arguments})", {"bind": bind, "G": None})
