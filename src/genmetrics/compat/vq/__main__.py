"""``python -m genmetrics.compat.vq COMMAND …``."""

from __future__ import annotations

import argparse
import importlib
import sys

__all__ = ["main"]

_COMMANDS = {
    "fid": "the statistics of a dataset, to pretrained/fid/",
    "tools.fid": "the FID of a folder against such statistics",
    "tools.fidelity": "FID, IS and more as torch-fidelity computes them",
    "auto_torchrun": "start a command on all GPUs",
}


def main() -> None:
    """Run the command that is named first, on the arguments behind it."""
    listed = "\n".join(f"  {name:<16}{text}" for name, text in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="genmetrics.compat.vq",
        description="The commands of magic-research/vector_quantization that measure.",
        epilog=f"commands:\n{listed}\nEach has a --help of its own.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=list(_COMMANDS), metavar="COMMAND")
    # What follows belongs to the command, its --help too.
    args = parser.parse_args(sys.argv[1:2])
    importlib.import_module(f"genmetrics.compat.vq.{args.command}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
