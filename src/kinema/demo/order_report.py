"""The report of ``kinema demo``: one page on what networks know of the order of frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kinema.demo.reversal import OrderScores, order_scores
from kinema.demo.synthetic import CLASSES, PAIRS, opposite
from kinema.files import write_text
from kinema.report.curves import plot_training
from kinema.report.markdown import markdown_table, percent
from kinema.report.plots import plot_bars, plot_confusion, plot_frames

if TYPE_CHECKING:
    from kinema.evaluation.scores import ScoreTable
    from kinema.shapes import Pixels

COLUMNS = ("class right", "class right, reversed", "pair right", "member right")
GUESSING = (1 / len(CLASSES), 1 / len(CLASSES), 2 / len(CLASSES), 1 / 2)


class Contender(NamedTuple):
    """One trained network of the comparison: its name, run directory and scores in both directions of time."""

    name: str
    run: Path
    forward: ScoreTable
    backward: ScoreTable

    def scores(self) -> OrderScores:
        """Measure what this network knows of the order of frames."""
        return order_scores(self.forward, self.backward, [CLASSES.index(opposite(name)) for name in CLASSES])


def table_cells(scores: OrderScores) -> tuple[str, ...]:
    """Format the figures of one network in the order of ``COLUMNS``."""
    return tuple(percent(fraction) for fraction in (scores.forward, scores.reversed, scores.pair, scores.member))


def explanation(tsm: OrderScores, tsn: OrderScores) -> str:
    """Say in words what the two rows mean, or that this run did not come out as it should."""
    as_expected = (
        min(tsm.forward, tsn.pair) >= 0.95
        and tsm.reversed <= 0.05
        and tsm.mirrored >= 0.95
        and abs(tsn.member - 0.5) < 0.1
    )
    if not as_expected:
        return (
            "These figures are not what the demo is built to show (TSM above 95 % and mirrored in reverse, TSN at "
            "least 95 % on the pair and guessing the member): something in this installation is worth a look."
        )
    return (
        "Both networks have the same layers and the same number of weights. TSN sees each frame by itself: it knows "
        "the pair and guesses the member. TSM hands some channels on to the neighbouring frames: it knows both, and "
        f"shown the frames in reverse it names the mirrored class ({percent(tsm.mirrored)}), for that is what it sees."
    )


def write_report(
    out: Path, contenders: Sequence[Contender], clips: Mapping[str, Pixels], *, seconds: float, commands: Sequence[str]
) -> dict[str, OrderScores]:
    """Write ``results.json``, ``report.md`` and its pictures.

    Args:
        out: Folder that gets them.
        contenders: The networks; the one that sees order first.
        clips: Frames of one video for each class to show.
        seconds: Time the whole demo took.
        commands: What to type next.

    Returns:
        The figures of each network by name.
    """
    scores = {contender.name: contender.scores() for contender in contenders}
    _draw(out / "plots", contenders, scores, clips)
    num_videos = len(contenders[0].forward)
    results = {name: vars(values) for name, values in scores.items()}
    facts = {"seconds": round(seconds, 1), "num_test_videos": num_videos}
    write_text(out / "results.json", json.dumps(results | facts, indent=2) + "\n")
    rows = [(name, *table_cells(values)) for name, values in scores.items()]
    rows.append(("guessing", *(percent(fraction) for fraction in GUESSING)))
    pairs = "; ".join(f"{first} / {second}" for first, second in PAIRS)
    text = f"""# What does a network know of time?

The classes come in pairs that are each other's time reversal: {pairs}.
Both videos of a scene hold the same pictures in opposite order, so a single frame, or all frames without their order,
tells the pair but not the member.

![frames of the videos](plots/videos.png)

{markdown_table(("network", *COLUMNS), rows)}

Measured on {num_videos} test videos of scenes that were not trained on. *Reversed*: the same videos with their frames
in reverse order. *Pair*: the class or its time reversal was named. *Member*: share of those where it was the class.

{explanation(*list(scores.values())[:2])}

![accuracy](plots/accuracy.png)

![confusion](plots/confusion.png)

![training](plots/training.png)

Everything took {seconds:.0f} seconds. What to type next:

```
{chr(10).join(commands)}
```
"""
    write_text(out / "report.md", text)
    return scores


def _draw(
    folder: Path, contenders: Sequence[Contender], scores: Mapping[str, OrderScores], clips: Mapping[str, Pixels]
) -> None:
    fractions = {name: (s.forward, s.reversed, s.pair, s.member) for name, s in scores.items()}
    bars = {column: {name: row[index] for name, row in fractions.items()} for index, column in enumerate(COLUMNS)}
    chance = dict(zip(COLUMNS, GUESSING, strict=True))
    plot_bars(bars, folder / "accuracy.png", title=f"{len(contenders[0].forward)} test videos", chance=chance)
    matrices = {}
    for name, _, forward, backward in contenders:
        matrices |= {f"{name}, frames forward": forward.confusion(), f"{name}, frames reversed": backward.confusion()}
    plot_confusion(matrices, CLASSES, folder / "confusion.png", title="What the networks answer", num_columns=2)
    plot_frames(clips, folder / "videos.png", title="One video of each class, time from left to right")
    plot_training({c.name: c.run for c in contenders}, folder / "training.png", title="Training")
