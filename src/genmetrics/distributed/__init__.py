"""The only place that talks to other processes.

Every function is the identity where torch.distributed is not running, so that callers need not ask.
"""

from genmetrics.distributed.group import current_shard, join_from_environment, leave, local_rank
from genmetrics.distributed.merging import gather, merge_over_ranks

__all__ = ["current_shard", "gather", "join_from_environment", "leave", "local_rank", "merge_over_ranks"]
