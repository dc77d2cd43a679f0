"""The only place that talks to other processes.

Every function is the identity where torch.distributed is not running, so that callers need not ask. Whatever all
ranks do together they do inside a ``shared_run``, which they leave with the same result or the same error.
"""

from genmetrics.distributed.failures import Failure, FromAnotherRank, origin_of, this_host
from genmetrics.distributed.group import alone, current_shard, join_from_environment, leave, local_rank
from genmetrics.distributed.merging import from_first_rank, gather, merge_over_ranks
from genmetrics.distributed.progress import over_ranks
from genmetrics.distributed.shared import agree, over_all_ranks, post, shared_run, until_all_are_here
from genmetrics.distributed.transfer import Link, Traffic

__all__ = [
    "Failure",
    "FromAnotherRank",
    "Link",
    "Traffic",
    "agree",
    "alone",
    "current_shard",
    "from_first_rank",
    "gather",
    "join_from_environment",
    "leave",
    "local_rank",
    "merge_over_ranks",
    "origin_of",
    "over_all_ranks",
    "over_ranks",
    "post",
    "shared_run",
    "this_host",
    "until_all_are_here",
]
