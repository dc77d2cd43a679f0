"""torch-fidelity's command ``fidelity``: ``python -m genmetrics.compat.torch_fidelity``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genmetrics.compat.commands import running, say
from genmetrics.compat.torch_fidelity.metrics import calculate_metrics
from genmetrics.compat.torch_fidelity.registry import (
    DATASETS_REGISTRY,
    FEATURE_EXTRACTORS_REGISTRY,
    INTERPOLATION_REGISTRY,
    NOISE_SOURCE_REGISTRY,
    SAMPLE_SIMILARITY_REGISTRY,
)
from genmetrics.compat.torch_fidelity.settings import RENAMED, Settings

__all__ = ["main"]

_COMMAND = "fidelity"
_METRICS = {
    "isc": "the Inception Score of the first input",
    "fid": "the Fréchet Inception Distance of the two inputs",
    "kid": "the Kernel Inception Distance of the two inputs",
    "prc": "precision and recall of the first input",
    "ppl": "the Perceptual Path Length of a generator",
    "mind": "the Monge Inception Distance of the two inputs",
}
#: Switches of the command whose keyword says the contrary.
_NEGATED = {
    "silent": "verbose",
    "no_datasets_download": "datasets_download",
    "no_samples_shuffle": "samples_shuffle",
    "no_cache": "cache",
}
_COUNT, _NUMBER = "N", "X"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: what follows the command's name; None takes that of this process.

    Raises:
        SystemExit: with 1 where nothing was asked for, as torch-fidelity does, and 2 for wrong usage or bad input.
    """
    parser = _parser()
    given = vars(parser.parse_intermixed_args(arguments))
    _take_positional(parser, given)
    if not any(given[name] for name in _METRICS):
        _refuse("no metric was asked for")
    if given["input1"] is None and given["input2"] is None:
        _refuse("no input was given")
    gpu, as_json, cpu = given.pop("gpu"), given.pop("json"), given.pop("cpu")
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    for switch, keyword in _NEGATED.items():
        given[keyword] = not given.pop(switch)
    cuda = not cpu and gpu != ""
    with running(_COMMAND, "auto" if cuda else "cpu") as first:
        given["verbose"] = given["verbose"] and first
        found = calculate_metrics(cuda=cuda, **given)
        if not first:
            return
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.items()}
        print(json.dumps(plain, indent=4) if as_json else "\n".join(_lines(plain)))


def _lines(found: Mapping[str, Any]) -> list[str]:
    """The figures to seven digits, those of single steps on one line."""
    return [
        f"{key}: " + (" ".join(f"{one:.7g}" for one in value) if isinstance(value, list) else f"{value:.7g}")
        for key, value in found.items()
    ]


def _refuse(what: str) -> None:
    say(f"{_COMMAND}: error: {what}; `python -m genmetrics.compat.torch_fidelity --help` shows the options")
    sys.exit(1)


def _take_positional(parser: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    """Inputs without an option in front, as torch-fidelity 0.2 took them."""
    inputs = given.pop("inputs")
    if len(inputs) > 2:
        parser.error(f"at most two inputs can be given, and there are {len(inputs)}: {' '.join(inputs)}")
    for name, value in zip(("input1", "input2"), inputs, strict=False):
        if given[name] is not None:
            parser.error(f"{name} was given twice: --{name} {given[name]} and {value}")
        given[name] = value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_COMMAND,
        description="Metrics of generative models by torch-fidelity's names, computed by genmetrics.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="the inputs, in place of --input1 and --input2")
    _add_inputs(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-g", "--gpu", metavar="N", help="compute on this CUDA device; sets CUDA_VISIBLE_DEVICES")
    where.add_argument("-c", "--cpu", action="store_true", help="compute on the CPU")
    parser.add_argument("-j", "--json", action="store_true", help="print the figures as JSON")
    for name, text in _METRICS.items():
        letter = "r" if name == "prc" else name[0]
        parser.add_argument(f"-{letter}", f"--{name}", action="store_true", help=f"compute {text}")
    _add_extractors(parser)
    _add_constants(parser)
    _add_samples(parser)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(DATASETS_REGISTRY)
    for number in (1, 2):
        name = f"input{number}"
        parser.add_argument(
            f"--{name}",
            metavar="INPUT",
            help=f"a folder, an archive, a generator in an .onnx or TorchScript .pth file, or one of: {known}",
        )
    _add(parser, "fid_statistics_file", str, "statistics of real images for --fid, in place of --input2", "FILE")
    _add(parser, "batch_size", int, "images that go through a network at once", _COUNT, short="-b")
    for number in (1, 2):
        model = f"input{number}_model"
        _add(parser, f"{model}_z_type", str, "the noise of a generator in a file", choices=list(NOISE_SOURCE_REGISTRY))
        _add(parser, f"{model}_z_size", int, "the size of its noise", _COUNT)
        _add(parser, f"{model}_num_classes", int, "how many classes it takes, 0 for none", _COUNT)
        _add(parser, f"{model}_num_samples", int, "how many images it makes", _COUNT)
        _add(parser, f"input{number}_cache_name", str, "accepted; kept statistics are known by their content", "NAME")


def _add_extractors(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(FEATURE_EXTRACTORS_REGISTRY)
    text = f"the network of all metrics but PPL, in place of each metric's own: {known}, or one of genmetrics' own"
    _add(parser, "feature_extractor", str, text, "NAME")
    for name in ("isc", "fid", "kid", "prc", "mind"):
        _add(parser, f"feature_layer_{name}", str, f"the layer of it for {name.upper()}", "LAYER")
    _add(parser, "feature_extractor_weights_path", str, "a weight file in place of the published one", "FILE")
    _add(
        parser, "feature_extractor_internal_dtype", str, "what the network computes in", choices=["float32", "float64"]
    )
    parser.add_argument("--feature-extractor-compile", action="store_true", help="accepted; our engines compile anyway")


def _add_constants(parser: argparse.ArgumentParser) -> None:
    _add(parser, "isc_splits", int, "parts of the images for the Inception Score", _COUNT)
    _add(parser, "kid_subsets", int, "pairs of random subsets for KID", _COUNT)
    _add(parser, "kid_subset_size", int, "images in each of them", _COUNT)
    _add(parser, "kid_kernel", str, "KID's kernel", choices=["poly", "rbf"])
    _add(parser, "kid_kernel_poly_degree", int, "the degree of the polynomial one", _COUNT)
    _add(parser, "kid_kernel_poly_gamma", float, "its factor; None for one over the number of features", _NUMBER)
    _add(parser, "kid_kernel_poly_coef0", float, "its constant", _NUMBER)
    _add(parser, "kid_kernel_rbf_sigma", float, "the width of the Gaussian one", _NUMBER)
    for old, new in RENAMED.items():
        kind = int if old == "kid_degree" else float
        # Left out of what is given, unless it is given: the new name's default would hide it.
        parser.add_argument(_flag(old), dest=new, type=kind, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    _add(parser, "ppl_epsilon", float, "the length of a step for PPL", _NUMBER)
    _add(parser, "ppl_reduction", str, "what becomes of the lengths", choices=["mean", "none"])
    _add(parser, "ppl_sample_similarity", str, "what compares images", choices=list(SAMPLE_SIMILARITY_REGISTRY))
    _add(parser, "ppl_sample_similarity_resize", _int_or_none, "the side it brings images to, or None", _COUNT)
    _add(parser, "ppl_sample_similarity_dtype", _text_or_none, "the type of image it insists on, or None", "TYPE")
    _add(parser, "ppl_discard_percentile_lower", _int_or_none, "cut off lengths below this, or None", _COUNT)
    _add(parser, "ppl_discard_percentile_higher", _int_or_none, "cut off lengths above this, or None", _COUNT)
    _add(parser, "ppl_z_interp_mode", str, "how noise is interpolated", choices=list(INTERPOLATION_REGISTRY))
    _add(parser, "prc_neighborhood", int, "neighbours that a ball reaches to", _COUNT)
    _add(parser, "prc_batch_size", int, "accepted; distances are made in tiles that fit the processor", _COUNT)
    _add(parser, "mind_num_projections", int, "directions for MIND", _COUNT)
    _add(parser, "rng_seed", int, "of every random choice", _COUNT)


def _add_samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-samples-shuffle", "--samples-alphanumeric", action="store_true", help="split images in their order"
    )
    parser.add_argument("--samples-find-deep", action="store_true", help="read the subfolders of folders too")
    _add(parser, "samples_find_ext", str, "extensions of images in folders, with commas between", "EXT,EXT")
    _add(parser, "samples_ext_lossy", str, "extensions of which a note is made", "EXT,EXT")
    _add(parser, "samples_resize_and_crop", int, "the side of a square to bring images of folders to", _COUNT)
    _add(parser, "datasets_root", str, "where registered datasets are, or are put", "DIR")
    parser.add_argument(
        "--no-datasets-download", "--datasets-downloaded", action="store_true", help="fetch no registered dataset"
    )
    _add(parser, "cache_root", str, "where statistics are kept", "DIR")
    parser.add_argument("--no-cache", action="store_true", help="keep no statistics")
    parser.add_argument("--save-cpu-ram", action="store_true", help="accepted; nothing is kept that is not needed")
    parser.add_argument("--silent", action="store_true", help="print nothing but the figures")


def _add(
    parser: argparse.ArgumentParser,
    keyword: str,
    kind: Any,
    text: str,
    metavar: str | None = None,
    *,
    choices: Sequence[str] | None = None,
    short: str | None = None,
) -> None:
    """An option of the keyword's name and default."""
    flags = [_flag(keyword)] if short is None else [short, _flag(keyword)]
    default = getattr(Settings, keyword)
    parser.add_argument(*flags, type=kind, default=default, help=text, metavar=metavar, choices=choices)


def _flag(keyword: str) -> str:
    return "--" + keyword.replace("_", "-")


def _text_or_none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _int_or_none(text: str) -> int | None:
    return None if text.lower() == "none" else int(text)


if __name__ == "__main__":
    main()
