"""Training scripts call clean-fid on their first rank alone, in the middle of a process group."""

from __future__ import annotations

from pathlib import Path

from support.ranks import run_ranks

SCRIPT = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from genmetrics import distributed
from genmetrics.compat.cleanfid import fid

dist.init_process_group("gloo")
if dist.get_rank() == 0:
    model = fid.build_feature_extractor("clean", "cpu")
    found = fid.get_folder_features(sys.argv[1], model, verbose=False)
    print(found.shape, distributed.current_shard().count)
dist.barrier()
dist.destroy_process_group()
"""


def test_one_rank_alone(tmp_path: Path, image_folder):
    """The features are of all images, and nobody waits for the other rank."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = run_ranks(script, 2, str(image_folder(2, 64, 64, seed=1)), seconds=120)
    assert [each.code for each in ended] == [0, 0], ended
    assert ended[0].out == "(2, 2048) 2\n" and ended[1].out == ""
