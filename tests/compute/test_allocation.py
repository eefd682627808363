"""Memory that a process keeps between two steps."""

import platform
import resource
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from contextlib import nullcontext
import torch
from kinema.compute.allocation import freed_memory_kept

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(16, 1024, 1024)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults(10)
with freed_memory_kept():
    with freed_memory_kept():
        faults(10)
    kept = faults(10)
print(before, kept)
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * resource.getpagesize() // 2**20)
"""


def count(**environment: str) -> tuple[int, int, int]:
    """Page faults of ten tensors of 64 MB before and inside the block, and resident MB after it."""
    answer = subprocess.run(
        [sys.executable, "-c", COUNT], env={"PATH": "", **environment}, capture_output=True, text=True, check=True
    )
    before, kept, resident = map(int, answer.stdout.split())
    return before, kept, resident


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_tensors_of_the_same_size_touch_new_pages_only_outside() -> None:
    pages = 10 * 64 * 2**20 // resource.getpagesize()
    before, kept, resident = count()
    assert before > pages / 2
    assert kept < pages / 20
    assert resident < 1000  # nothing of it stays


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_the_users_own_settings_stand() -> None:
    pages = 10 * 64 * 2**20 // resource.getpagesize()
    assert count(MALLOC_MMAP_THRESHOLD_="1000000")[1] > pages / 2
