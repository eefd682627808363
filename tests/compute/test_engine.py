"""The parts of training that stand between the loop and torch."""

import os
import re
from typing import Any

import pytest
import torch
from torch import nn

from kinema.compute import optimizers
from kinema.compute.engine import Engine
from kinema.compute.environment import meet_where_slurm_says
from kinema.models.action_model import TrainingScores

KINDS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("LBFGS", {"lr": 0.5, "max_iter": 3}),
]


def trained(optimizer: torch.optim.Optimizer, network: nn.Module, steps: int) -> list[torch.Tensor]:
    clips = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = network(clips).square().sum()
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(loss)  # pyrefly: ignore[bad-argument-type]
    return [parameter.detach() for parameter in network.parameters()]


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


@pytest.mark.parametrize(("name", "options"), KINDS, ids=[name for name, _ in KINDS])
def test_optimizers_are_torchs(name: str, options: dict[str, Any]) -> None:
    """They take the same steps, and go on from one another's states."""
    kinds = getattr(optimizers, name), getattr(torch.optim, name)
    states, weights = [], []
    for kind in kinds:
        network = linear()
        optimizer = kind(network.parameters(), **options)
        weights.append(trained(optimizer, network, steps=3))
        states.append(optimizer.state_dict())
    for ours, theirs in zip(*weights, strict=True):
        assert torch.equal(ours, theirs)
    continued = []
    for kind, state in zip(kinds, reversed(states), strict=True):
        network = linear()
        optimizer = kind(network.parameters(), **options)
        optimizer.load_state_dict(state)
        continued.append(trained(optimizer, network, steps=2))
    for ours, theirs in zip(*continued, strict=True):
        assert torch.equal(ours, theirs)


def test_steps_are_seen_by_hooks() -> None:
    network = linear()
    optimizer = optimizers.SGD(network.parameters(), lr=0.1)
    heard: list[str] = []
    optimizer.register_step_post_hook(lambda *_: heard.append("step"))
    trained(optimizer, network, steps=2)
    assert heard == ["step", "step"]


class Auxiliary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seen: list[torch.dtype] = []

    def forward(self, clip: torch.Tensor) -> TrainingScores:
        scores = self.layer(clip)
        self.seen += [clip.dtype, scores.dtype]
        return TrainingScores(scores, (scores,))


def test_sixteen_bits_stay_inside() -> None:
    model = Auxiliary()
    network = Engine(precision="bf16").prepare(model, compile=False)
    scores = network(torch.ones(1, 3))
    assert model.seen == [torch.bfloat16, torch.bfloat16]
    assert isinstance(scores, TrainingScores)
    assert [part.dtype for part in (scores.logits, *scores.auxiliary)] == [torch.float32, torch.float32]
    assert model.layer.weight.dtype == torch.float32


def test_alone_nothing_stands_between() -> None:
    model = Auxiliary()
    assert Engine(precision="fp32").prepare(model, compile=False) is model
    assert (
        Engine(precision="fp64").prepare(model, compile=False)(torch.ones(1, 3).double()).logits.dtype is torch.float64
    )


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu[03-05,09],cpu1", "gpu03"),
        ("rack[2,4]-n1", "rack2-n1"),
        ("a[7]", "a7"),
        ("login,gpu[1-2]", "login"),
        ("login gpu1", "login"),
    ],
)
def test_where_the_processes_of_srun_meet(nodes: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if re.match("SLURM|MASTER", name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MASTER_ADDR", "")  # so that both are taken out again at the end
    monkeypatch.setenv("MASTER_PORT", "")
    del os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    meet_where_slurm_says()
    assert "MASTER_ADDR" not in os.environ, "nothing without srun"
    for name, value in {"SLURM_PROCID": "1", "SLURM_NODELIST": nodes, "SLURM_JOB_ID": "1234567"}.items():
        monkeypatch.setenv(name, value)
    meet_where_slurm_says()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == (first, "19567")


def test_a_meeting_that_the_user_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_PROCID": "0", "MASTER_ADDR": "head", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    meet_where_slurm_says()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("head", "29500")
