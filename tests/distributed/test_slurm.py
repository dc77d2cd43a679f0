"""The files for SLURM, with stand-ins for SLURM itself that start the tasks of one node."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.ranks import environment, free_port, run_together, write_images

DOCS = Path(__file__).parents[2] / "docs" / "slurm"
LITE = "efficientnet-lite0.in1k"
SRUN = """#!/bin/sh
# Starts SLURM_NTASKS tasks of one node; options come first.
while [ "${1#-}" != "$1" ]; do shift; done
result=0
for task in $(seq 0 $((SLURM_NTASKS - 1))); do
    SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NODEID=0 "$@" &
    tasks="$tasks $!"
done
for task in $tasks; do wait "$task" || result=$?; done
exit $result
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tasks", "gpus"), [("torchrun.sbatch", 1, 2), ("srun.sbatch", 2, 2)])
def test_the_file_runs_a_command_on_all_tasks(tmp_path: Path, name: str, tasks: int, gpus: int) -> None:
    write_images(tmp_path / "gen", 7, 1)
    tools = {
        "srun": SRUN,
        "scontrol": "#!/bin/sh\necho 127.0.0.1\n",
        "torchrun": f'#!/bin/sh\nexec {sys.executable} -m torch.distributed.run "$@"\n',
        "genmetrics": f'#!/bin/sh\nexec {sys.executable} -m genmetrics "$@"\n',
    }
    home = tmp_path / "bin"
    home.mkdir()
    for tool, text in tools.items():
        (home / tool).write_text(text)
        (home / tool).chmod(0o755)
    given = environment(
        PORT=str(free_port()),
        SLURM_JOB_NODELIST="node[0-0]",
        SLURM_JOB_ID="17",
        SLURM_JOB_NUM_NODES="1",
        SLURM_NTASKS=str(tasks),
        SLURM_GPUS_ON_NODE=str(gpus),
        SLURM_CPUS_PER_TASK="2",
    )
    given["PATH"] = f"{home}:{given['PATH']}"
    command = ["bash", str(DOCS / name), "eval", f"{tmp_path}/gen", "-m", "isc", "--extractor", LITE, "--device", "cpu"]
    command += ["--no-cache", "--json", f"{tmp_path}/report.json"]
    (ended,) = run_together([command], [given], 90)
    # Seven images are too few for ten splits: change nothing but their number.
    assert ended.code not in (0, None)
    assert ended.log.count("genmetrics: error: ") == 1
    command[command.index("isc")] = "vendi"
    (ended,) = run_together([command], [{**given, "PORT": str(free_port())}], 90)
    assert ended.code == 0, ended.log
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["num_processes"], report["gen"]["num_samples"]) == (2, 7)
    assert ended.out.count("report: ") == 1
