"""Names of devices, on machines with and without GPUs."""

import pytest
import torch

from kinema.compute.devices import find_device, find_devices_of_workers, one_device
from kinema.errors import UserError


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(
    ("name", "local_rank", "found"),
    [("auto", 0, "cuda:0"), ("auto", 4, "cuda:1"), ("cuda", 2, "cuda:2"), ("cuda:1", 2, "cuda:1"), ("cpu", 2, "cpu")],
)
def test_each_process_has_a_gpu_of_its_own(name: str, local_rank: int, found: str) -> None:
    assert find_device(name, local_rank) == torch.device(found)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(
    ("local_rank", "num_local", "found"),
    [(0, 1, ("cuda:0", "cuda:1", "cuda:2")), (0, 2, ("cuda:0",)), (1, 2, ("cuda:1",)), (4, 5, ("cuda:1",))],
)
def test_processes_divide_the_gpus_for_their_workers(
    monkeypatch: pytest.MonkeyPatch, local_rank: int, num_local: int, found: tuple[str, ...]
) -> None:
    for name, value in {"MASTER_ADDR": "here", "RANK": local_rank, "WORLD_SIZE": num_local}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(num_local))
    assert find_devices_of_workers("auto") == find_devices_of_workers("cuda") == found
    assert find_devices_of_workers("cuda:2") == ("cuda:2",)
    assert find_devices_of_workers("cpu") == ("cpu",)


def test_what_auto_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("auto") == torch.device("cpu")
    assert find_device("auto", automatic=("cuda", "mps")) == find_device("mps") == torch.device("mps")
    with pytest.raises(UserError, match="device 'cuda' is not here: torch sees 0 CUDA devices; use --device cpu"):
        find_device("cuda")


def test_two_names_of_one_option() -> None:
    assert one_device("auto", None) == "auto"
    assert one_device("auto", "cpu") == one_device("cpu", "cpu") == one_device("cpu", None) == "cpu"
    with pytest.raises(UserError, match="device is 'cpu' and accelerator is 'cuda', two names of one option"):
        one_device("cpu", "cuda")
