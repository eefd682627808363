"""Whether torchrun or SLURM's srun has started this process as one of several, told by the environment they set."""

from __future__ import annotations

import os
import re

from kinema.errors import UserError

FEW_PROCESSES = 8
"""Always allowed, even with fewer cores, so that work of several processes can be tried."""


def launched_from_outside() -> bool:
    """Whether torchrun has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ and "RANK" in os.environ


def processes_from_outside() -> int:
    """Count the processes that torchrun or SLURM's srun has started for this run; 1 when neither has."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ.get("SLURM_NTASKS", "1")) if "SLURM_PROCID" in os.environ else 1


def rank_and_world_from_outside() -> tuple[int, int]:
    """Number of this process among those that torchrun or srun has started, and how many those are; (0, 1) alone."""
    if launched_from_outside():
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    num_processes = processes_from_outside()
    return (int(os.environ.get("SLURM_PROCID", "0")), num_processes) if num_processes > 1 else (0, 1)


def local_ranks_from_outside() -> tuple[int, int]:
    """Number of this process among those on its machine, and how many those are; (0, 1) when it is alone."""
    if rank_and_world_from_outside()[1] == 1:
        return 0, 1
    rank = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", os.environ.get("SLURM_TASKS_PER_NODE", "1")).split("(")[0]
    return int(rank), int(os.environ.get("LOCAL_WORLD_SIZE", tasks.split(",")[0]))


def meet_where_slurm_says() -> None:
    """Write into the environment where the processes that srun has started meet, unless it is there already.

    They meet on the first machine of the job (``SLURM_NODELIST``, such as ``gpu[03-05,09],cpu1``), at a port that
    follows from the number of the job, so that two jobs on one machine do not meet. torchrun writes both itself.
    """
    if "SLURM_PROCID" not in os.environ:
        return
    names = os.environ.get("SLURM_STEP_NODELIST", os.environ.get("SLURM_NODELIST", "127.0.0.1"))
    first = re.sub(r"\[([^],-]*)[^]]*\]", r"\1", names)  # of the numbers in a bracket, the first
    os.environ.setdefault("MASTER_ADDR", re.split("[ ,]", first)[0])
    os.environ.setdefault("MASTER_PORT", str(15000 + int(os.environ.get("SLURM_JOB_ID", "0")[-4:])))


def is_first_process() -> bool:
    """Whether this process prints and writes files: it is alone, or the first that torchrun or srun has started."""
    alone = processes_from_outside() == 1 and not launched_from_outside()
    return alone or os.environ.get("RANK", os.environ.get("SLURM_PROCID")) == "0"


def require_cores(num_processes: int) -> None:
    """Refuse to start many more processes than a machine can serve: they fill its memory before anybody can stop them.

    Raises:
        UserError: There are more of them than cores, and more than ``FEW_PROCESSES``.
    """
    cores = os.cpu_count() or 1
    most = max(FEW_PROCESSES, cores)
    if num_processes > most:
        raise UserError(
            f"devices is {num_processes}, but this machine has {cores} cores, for which {most} processes are enough; "
            "give fewer devices"
        )
