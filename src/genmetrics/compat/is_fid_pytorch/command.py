"""The command: ``python -m genmetrics.compat.is_fid_pytorch [--path A] [--fid B] [--save-stats-path FILE]``."""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmetrics.compat.commands import running, say

if TYPE_CHECKING:
    from genmetrics.stats.stats import Stats

__all__ = ["main"]

_NAME = "is_fid_pytorch"
_NOT_FOR_PAPERS = (
    "these scores are of torchvision's network, for a quick look: they compare with no published FID or Inception "
    "Score, which are `genmetrics eval GEN --ref REF -m fid,isc`"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = ArgumentParser(
        prog=f"python -m genmetrics.compat.{_NAME}",
        description="Inception Score and FID by torchvision's network, as lzhbrian/metrics computes them.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--path", type=str, default="", help="a folder of images, or an .npz file of statistics; empty for CIFAR-10"
    )
    parser.add_argument("--fid", type=str, default="", help="what to compare with: a folder, or an .npz file")
    parser.add_argument("--save-stats-path", type=str, default="", help="an .npz file for the statistics of the images")
    arguments = parser.parse_args(argv)
    with running(_NAME) as first:
        _run(_Output(first), arguments.path, arguments.fid, arguments.save_stats_path)


@dataclass(frozen=True)
class _Output:
    """What of several processes the first does alone.

    Attributes:
        first: whether this is the first.
    """

    first: bool

    def print(self, *values: object) -> None:
        """A line of the original's."""
        if self.first:
            print(*values, flush=True)

    def note(self, text: str) -> None:
        """A line for people."""
        if self.first:
            say(f"{_NAME}: note: {text}")


def _run(out: _Output, path: str, fid: str, save: str) -> None:
    from genmetrics.compat.is_fid_pytorch.pass_over_images import check_comparable, notes_of, score_of, statistics_of
    from genmetrics.compat.is_fid_pytorch.reference import moments_of, statistics_in
    from genmetrics.errors import UsageError
    from genmetrics.stats.formats.write import write_npz

    given = {side for side in (path, fid) if side.endswith(".npz")}
    if path in given and not fid:
        raise UsageError(
            f"--path '{path}' is statistics, which have no Inception Score; add --fid with what to compare them with"
        )
    if save and {path, fid} == given:
        raise UsageError(f"--save-stats-path '{save}': both sides are statistics already, and there is nothing to save")
    out.note(_NOT_FOR_PAPERS)
    target = _checked_target(save, out) if save else None
    if not path:
        out.print("Calculating IS score on CIFAR 10...")
    # In this order: what cannot be opened comes to light before any image is read.
    sides = [path, fid] if fid else [path]
    opened: list[Any] = [statistics_in(side) if side in given else _images(side, out) for side in sides]
    if {path, fid} != given:
        for side, statistics in zip(sides, opened, strict=True):
            if side in given:
                check_comparable(statistics)
    two_folders = len(sides) == 2 and not given and path != ""
    stats: list[Stats] = []
    scores: list[tuple[float, float]] = []
    for name, side, images in zip(("1st", "2nd"), sides, opened, strict=False):
        if side in given:
            stats.append(images)
            continue
        if two_folders:
            out.print(f"Calculating {name} stat ...")
        stats.append(statistics_of(images, of_tensors=not side, quiet=not out.first))
        scores.append(score_of(stats[-1]))
        for text in notes_of(stats[-1]):
            out.note(text)
    if len(scores) == 2 and path:
        for name, (mean, spread) in zip(("1st", "2nd"), scores, strict=True):
            out.print(f"{name} IS score =", mean, ",", spread)
    else:
        for mean, spread in scores:
            out.print(mean, spread)
    if len(stats) == 2:
        out.print("FID =", _distance(stats[0], stats[1], out))
    if target is not None and out.first:
        own = next(held for side, held in zip(sides, stats, strict=True) if side not in given)
        write_npz(own, target, moments_of(own)[0])
        out.print(f"Stats save to {save}")


def _checked_target(save: str, out: _Output) -> Path:
    """The file that NumPy would write under that name."""
    from genmetrics.files import check_writable

    target = Path(save if save.endswith(".npz") else f"{save}.npz")
    if out.first:
        check_writable(target)
    if str(target) != save:
        out.note(f"the statistics go to '{target}', since NumPy adds that ending")
    return target


def _images(path: str, out: _Output) -> Any:
    from genmetrics.compat.is_fid_pytorch.folders import image_files
    from genmetrics.compat.is_fid_pytorch.pass_over_images import check_count, cifar10

    if path:
        out.print(f"Reading Images from {path} ...")
        images: Any = image_files(path, f"{_NAME}.py")
    else:
        images = cifar10(out.note)
    check_count(len(images), path or "CIFAR-10")
    return images


def _distance(gen: Stats, ref: Stats, out: _Output) -> float:
    from genmetrics.compat.is_fid_pytorch.pass_over_images import distance_of

    value, notes = distance_of(gen, ref)
    for text in notes:
        out.note(text)
    return value
