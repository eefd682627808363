"""Gathering what goes into fully connected layers gives the gradients of one process with the whole batch."""

import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inside_run import act_in_steps, running
from torch.nn import functional

from kinema import build_model
from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.data.loader import Batch
from kinema.data.manifest import Manifest
from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.models.backbones.plain import PlainConv, PlainPlan
from kinema.models.fully_connected import FullyConnectedHead
from kinema.models.temporal.tsn import Tsn
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training.assemble import assemble
from kinema.training.display import Display
from kinema.training.fc_gather import GatheredNetwork, GatheringEngine
from kinema.training.loop import fit
from kinema.training.state import Run, restore
from kinema.weights.checkpoint import Checkpoint

NUM_CLIPS = (3, 2)
"""Clips of the two processes, unevenly many."""
NUM_CLASSES = 8
LONG = 200_000
"""More than a pipe holds: the answer of spawned processes may be of any size."""


def narrow_vgg(dropout: float) -> ActionModel:
    """Two convolutions and three linear layers; the map is averaged onto 2 x 2."""
    torch.manual_seed(0)
    plan = PlainPlan(groups=((PlainConv(4),), (PlainConv(6),)), pool=2, map_size=2, fc_widths=(16, 12))
    return ActionModel.compose(plan, Tsn(), num_classes=NUM_CLASSES, dropout=dropout).double()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """The clips of both processes, the first one's first, and their labels."""
    draw = torch.Generator().manual_seed(1)
    clips = torch.randn(sum(NUM_CLIPS), 3, 2, 12, 12, generator=draw, dtype=torch.float64)
    return clips, torch.tensor([0, 1, 2, 3, 1])


def gradients(model: ActionModel) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def passes(engine: Engine, *, dropout: float = 0.0, num_steps: int = 1, freeze: bool = False) -> dict[str, Any]:
    """Steps of two accumulated parts over the clips of this process; the first step's scores and gradients."""
    model = narrow_vgg(dropout)
    if freeze:
        model.stage("conv1").requires_grad_(False)
        model.stage("conv2").requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    network = engine.prepare(model, compile=False)
    clips, labels = (part.split(NUM_CLIPS)[engine.rank] for part in batch())
    torch.manual_seed(10 + engine.rank)
    answer: dict[str, Any] = {"loss": 0.0}
    for step in range(num_steps):
        for part in range(2):
            with engine.without_exchange(network, part == 0):
                logits = network(clips.tensor_split(2)[part])
                loss = functional.cross_entropy(logits, labels.tensor_split(2)[part], reduction="sum")
                engine.backward(loss * engine.world / sum(NUM_CLIPS))
            if step == 0:
                answer["loss"] += loss.item()
        if step == 0:
            answer["gradients"] = {name: tensor.clone() for name, tensor in gradients(model).items()}
        engine.clip_gradients(optimizer, 0.05)
        engine.step(optimizer)
        optimizer.zero_grad()
    answer["weights"] = model.state_dict()
    return answer


def narrow_run(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> Run:
    """A run of the narrow network, which has no name."""
    folder.mkdir(parents=True, exist_ok=True)
    display = Display(folder, main=engine.is_main, quiet=True)
    training, validation = videos.select("train"), videos.select("val")
    own = narrow_vgg(recipe.train.dropout)
    return assemble(engine, recipe, folder=folder, training=training, validation=validation, display=display, own=own)


def finished(run: Run, *, stop_after: int = 0) -> dict[str, Any]:
    """Train to the end, or ask for a stop after so many steps."""
    steps = []

    def stop(run: Run, batch: Batch, sums: torch.Tensor) -> None:
        steps.append(sums)
        run.stop.signal = signal.SIGTERM if len(steps) == stop_after else 0

    with pytest.MonkeyPatch.context() as patched, running(run):
        act_in_steps(patched, after=stop)
        assert fit(run) == (signal.SIGTERM if stop_after else 0)
    run.engine.gather(None)  # the main process has written its files
    history = [{name: row[name] for name in ("train_loss", "train_top1", "val_loss")} for row in run.position.history]
    return {"history": history, "weights": run.model.state_dict(), "average": run.average and run.average.weights}


def narrow_outcome(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> dict[str, Any]:
    return finished(narrow_run(engine, recipe, videos, folder))


def resumed(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> dict[str, Any]:
    """Stop in the middle of the second epoch and go on."""
    finished(narrow_run(engine, recipe, videos, folder), stop_after=8)
    run = narrow_run(engine, recipe, videos, folder)
    restore(run, Checkpoint.read(folder / "last.ckpt"))
    assert run.position.step_in_epoch > 0
    return finished(run)


def two_processes(engine: Engine, recipe: Recipe, videos: Manifest, folder: Path) -> str:
    """Everything that needs two processes, since starting them takes longer than the rest; a long answer."""
    torch.set_num_threads(1)
    plain, random = recipe.with_fields(PLAIN), recipe.with_fields({"train.precision": "fp64"})
    own = {
        "plain": passes(engine),
        "dropout": passes(engine, dropout=0.5),
        "steps": passes(engine, num_steps=4),
        "frozen": passes(engine, freeze=True),
        "run": narrow_outcome(engine, plain, videos, folder / "run"),
        "whole": narrow_outcome(engine, random, videos, folder / "whole"),
        "resumed": resumed(engine, random, videos, folder / "resumed"),
    }
    torch.save(own, folder / f"{engine.rank}.pt")
    return "x" * LONG


PLAIN = {
    "train.precision": "fp64",
    "train.dropout": 0.0,
    "train.mixup": 0.0,
    "train.accumulate": 2,
    "train.batch_size": 9,  # in the last step of an epoch 2 clips and 1
}
ONE, TWO = (Compute(devices=devices, device="cpu", precision="fp64") for devices in (1, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gathered")


@pytest.fixture(scope="module")
def outcomes(shapes: Manifest, tiny_recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """What each of two processes has."""
    assert len(launch(GatheringEngine, TWO, two_processes, tiny_recipe, shapes, folder)) == LONG
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def whole_batch(scores: Callable[[ActionModel, torch.Tensor], torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    """Summed loss of one process with the clips of both, and the gradients of their mean."""
    model, (clips, labels) = narrow_vgg(0.5), batch()
    loss = functional.cross_entropy(scores(model, clips), labels, reduction="sum")
    (loss / len(labels)).backward()
    return loss.item(), gradients(model)


def assert_near(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert some.keys() == others.keys()
    for name, tensor in some.items():
        torch.testing.assert_close(
            tensor, others[name], atol=1e-12, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def assert_same(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert some.keys() == others.keys()
    assert [name for name in some if not torch.equal(some[name], others[name])] == []


def test_gradients_are_those_of_the_whole_batch(outcomes: list[dict[str, Any]]) -> None:
    """Clips fall unevenly on processes and parts; every process has all gradients."""
    loss, expected = whole_batch(lambda model, clips: model.eval()(clips))
    assert sum(own["plain"]["loss"] for own in outcomes) == pytest.approx(loss, abs=1e-12)
    assert max(tensor.abs().max() for tensor in expected.values()) > 1e-3
    for own in outcomes:
        assert_near(own["plain"]["gradients"], expected)


def test_dropped_units_are_the_same_in_every_process(outcomes: list[dict[str, Any]]) -> None:
    """One process that drops what the two have dropped gets the same gradients."""
    torch.manual_seed(10)  # of the first process, whose numbers count
    seeds = [int(torch.randint(2**62, ())) for _ in range(2)]

    def scores(model: ActionModel, clips: torch.Tensor) -> torch.Tensor:
        head, first, second = model.head, [0, 1, 3], [2, 4]  # the parts: 2 and 1 clips, 1 and 1 clip
        assert isinstance(head, FullyConnectedHead)
        logits = torch.empty(len(clips), NUM_CLASSES, dtype=torch.float64)
        for rows, seed in zip((first, second), seeds, strict=True):
            steps = head.steps_of(model.features(clips[rows]))
            torch.manual_seed(seed)
            logits[rows] = head.consensus(head.score_steps(steps), clips.shape[2])
        return logits

    loss, expected = whole_batch(scores)
    assert loss != whole_batch(lambda model, clips: model.eval()(clips))[0]
    assert sum(own["dropout"]["loss"] for own in outcomes) == pytest.approx(loss, abs=1e-12)
    for own in outcomes:
        assert_near(own["dropout"]["gradients"], expected)


def test_weights_stay_equal(outcomes: list[dict[str, Any]]) -> None:
    """After four clipped steps with momentum, on both processes and in one."""
    model, (clips, labels) = narrow_vgg(0.0), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        functional.cross_entropy(model(clips), labels).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        assert norm > 0.06
        optimizer.step()
    assert_same(outcomes[0]["steps"]["weights"], outcomes[1]["steps"]["weights"])
    assert_near(outcomes[0]["steps"]["weights"], model.state_dict())


def test_frozen_convolutions_have_nothing_to_exchange(outcomes: list[dict[str, Any]]) -> None:
    _, expected = whole_batch(lambda model, clips: model.eval()(clips))
    of_head = {name: tensor for name, tensor in expected.items() if name.startswith("classifier")}
    assert len(of_head) == 6
    for own in outcomes:
        assert_near(own["frozen"]["gradients"], of_head)


def test_a_run_is_that_of_one_process(
    outcomes: list[dict[str, Any]], shapes: Manifest, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    """Loss, accuracy, weights and their average; each clip counts once."""
    recipe = tiny_recipe.with_fields(PLAIN)
    one = launch(Engine, ONE, narrow_outcome, recipe, shapes, tmp_path)
    for own in outcomes:
        assert_near(own["run"]["weights"], one["weights"])
        assert_near(own["run"]["average"], one["average"])
    for ours, row in zip(outcomes[0]["run"]["history"], one["history"], strict=True):
        assert ours["train_loss"] == pytest.approx(row["train_loss"], abs=1e-10)
        assert ours["train_top1"] == row["train_top1"]
        assert ours["val_loss"] == pytest.approx(row["val_loss"], abs=1e-6)  # scores are stored as float32


def test_resuming_is_exact(outcomes: list[dict[str, Any]]) -> None:
    """With dropout, mixup and a stop in the middle of an epoch, down to the last bit."""
    for own in outcomes:
        assert_same(own["resumed"]["weights"], own["whole"]["weights"])
        assert_same(own["resumed"]["average"], own["whole"]["average"])
        assert own["resumed"]["history"] == own["whole"]["history"]
    assert_same(outcomes[0]["whole"]["weights"], outcomes[1]["whole"]["weights"])


def test_resuming_otherwise_is_refused(
    outcomes: list[dict[str, Any]], shapes: Manifest, tiny_recipe: Recipe, folder: Path
) -> None:
    recipe = tiny_recipe.with_fields(PLAIN)
    engine = launch(Engine, ONE, lambda engine: engine)
    run = narrow_run(engine, recipe, shapes, folder / "run")
    saved = Checkpoint.read(folder / "run" / "last.ckpt")
    alone = replace(saved, training=replace(saved.training, world=1))
    with pytest.raises(CheckpointError, match="was trained with fc gathering; add --fc-gather"):
        restore(run, alone)


def test_what_cannot_be_gathered_is_refused() -> None:
    with pytest.raises(UserError, match=r"tsn-resnettiny has no large fully connected layers.*leave out --fc-gather"):
        GatheredNetwork(build_model("tsn-resnettiny", num_classes=3), exchanged=lambda part: part, autocast=nullcontext)
    with pytest.raises(UserError, match="fc gathering is for several processes"):
        GatheringEngine.require(ONE)
