"""``auto_torchrun``: torchrun with a process for every GPU and a port that is free.

::

    python -m genmetrics.compat.vq.auto_torchrun [--nproc N] [torchrun's options] -m genmetrics.compat.vq.fid imagenet
    python -m genmetrics.compat.vq.auto_torchrun script.py …
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from genmetrics.cli.console import say
from genmetrics.errors import UsageError

__all__ = ["main", "number_of_processes"]

_USAGE = """\
usage: auto_torchrun [--nproc N] [OPTION ...] (-m MODULE | SCRIPT) [ARGUMENT ...]

Start MODULE or SCRIPT under torchrun, one process a visible GPU; without a GPU one, or N.

  --nproc N   so many processes [default: $nproc_per_node, else the visible GPUs, else 1]
  OPTION      torchrun's own, see `torchrun --help`
"""
_INTERRUPTED, _SIGNAL = 130, 128
#: Options of torchrun that say where the processes meet; without them it is a port of this machine that is free.
_PLACES = ("rdzv_endpoint", "rdzv_conf", "rdzv_id", "master_port", "master_addr", "node_rank", "nnodes", "rdzv_backend")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; it ends with the exit code of the process that failed first, else with 0.

    Args:
        arguments: as typed behind its name; None takes the process's.

    Raises:
        SystemExit: unless all processes end in peace.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_USAGE, end="", file=sys.stdout if given else sys.stderr)
        sys.exit(0 if given else 2)
    try:
        asked, rest = _split(given)
        if not rest:
            raise UsageError("there is nothing to start; expected -m MODULE or a SCRIPT, such as -m genmetrics --help")
        count = number_of_processes(asked)
    except UsageError as error:
        say(f"auto_torchrun: error: {error}")
        sys.exit(2)
    _run([f"--nproc-per-node={count}", *_meeting_place(rest), *rest])


def number_of_processes(asked: str | None) -> int:
    """How many processes to start.

    Args:
        asked: what was typed behind ``--nproc``; None for the environment's ``nproc_per_node``, else one for each GPU
            that ``CUDA_VISIBLE_DEVICES`` leaves, and one where there is none.

    Raises:
        UsageError: if it is no whole number above 0.
    """
    name = "--nproc" if asked is not None else "nproc_per_node"
    text = os.environ.get("nproc_per_node") if asked is None else asked  # noqa: SIM112  # as todd spells it
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"{name} {text!r}: expected how many processes to start, a whole number of at least 1")
        return int(text)
    import torch

    # torch counts what CUDA_VISIBLE_DEVICES leaves of the GPUs that there are, whichever way they are named in it.
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible and len(visible.split(",")) != found and visible != "-1":
        say(f"auto_torchrun: CUDA_VISIBLE_DEVICES is {visible!r}, and torch finds {found} such GPU(s)")
    return max(1, found)


def _split(given: list[str]) -> tuple[str | None, list[str]]:
    """What stands behind a leading ``--nproc``, and all that follows."""
    option, equals, value = given[0].partition("=")
    if option != "--nproc":
        return None, given
    if equals:
        return value, given[1:]
    if len(given) < 2:
        raise UsageError("--nproc has nothing behind it, expected a number: --nproc 2")
    return given[1], given[2:]


def _meeting_place(rest: list[str]) -> list[str]:
    """A port that torchrun itself takes and holds, so that nobody else gets it; none if the caller named a place."""
    from torch.distributed.run import get_args_parser

    parser = get_args_parser()
    try:
        chosen = parser.parse_args(rest)
    except SystemExit as error:
        # What it has printed is torchrun's own message.
        sys.exit(error.code)
    elsewhere = [name for name in _PLACES if getattr(chosen, name) != parser.get_default(name)]
    elsewhere += [name for name in _PLACES if f"PET_{name.upper()}" in os.environ]  # where torchrun finds them too
    return [] if elsewhere or chosen.standalone else ["--standalone", "--local-addr=127.0.0.1"]


def _run(arguments: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    say(f"auto_torchrun: torchrun {' '.join(arguments)}")
    try:
        run(parse_args(arguments))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        say(str(error))
        sys.exit(first.exitcode if first.exitcode >= 0 else _SIGNAL - first.exitcode)
    except SignalException as error:
        sys.exit(_SIGNAL + int(error.sigval))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
