"""Measures the structure: circles of imports, arrows that point up, and the files that a prediction passes.

python tests/house/structure.py            # circles among files, and what points upward
python tests/house/structure.py --predict  # stops of one `kinema predict`
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kinema"
FILES = sorted(SOURCE.rglob("*.py"))


def dotted(path: Path) -> str:
    """The module name of a file, such as ``kinema.video.decoder``; a package has its folder's."""
    parts = list(path.relative_to(SOURCE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, modules: Iterable[str]) -> set[str]:
    """The modules of kinema that a file imports anywhere, for type checking too."""
    known = set(modules)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return (found & known) - {dotted(path)}


def graph() -> dict[str, set[str]]:
    """Every file but those of the bare packages, with what it imports."""
    files = {dotted(path): path for path in FILES}
    return {name: imports(path, files) - {"kinema"} for name, path in files.items() if name != "kinema"}


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of files that import one another, directly or around, each sorted."""
    reached = {name: _reached(name, arrows) for name in arrows}
    groups = {tuple(sorted(other for other in reached[name] if name in reached.get(other, ()))) for name in arrows}
    return sorted([list(group) for group in groups if len(group) > 1], key=str)


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen, waiting = set(), [start]
    while waiting:
        for name in arrows.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def package_of(module: str) -> str:
    """The package of a module, '' for those directly in kinema."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (SOURCE / parts[1]).is_dir() else ""


def package_arrows(arrows: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """Which package imports which."""
    pairs = {(package_of(name), package_of(other)) for name, others in arrows.items() for other in others}
    return {(own, other) for own, other in pairs if own and other and own != other}


MILESTONES = ("load", "open_video", "Decoder.frames_at", "network_input", "ActionModel.forward", "best_classes")
"""What a prediction does: read weights, open a file, decode it, prepare a batch, run the network, answer."""


def predict_path() -> list[tuple[str, str]]:
    """The functions of kinema that somebody reads who follows ``kinema predict`` from the command line to its answer.

    They are those on the stack when each of ``MILESTONES`` is first reached.

    Returns:
        Pairs of file and function, in the order of the call.

    Raises:
        AssertionError: The command failed, or never came by one of the milestones.
    """
    from kinema.cli.main import run

    sys.path.insert(0, str(SOURCE.parents[1] / "tests"))
    from make_videos import numbered_frames, write_video
    from trained_models import write_checkpoint

    stacks: dict[str, list[tuple[str, str]]] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_qualname
        is_ours = name in MILESTONES and "kinema" in str(frame.f_globals.get("__name__", ""))
        if event == "call" and is_ours and name not in stacks:
            stacks[name] = list(reversed(_stack(frame)))

    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "clip.mp4", numbered_frames(12), 25)
        write_checkpoint(Path(folder) / "net.ckpt")
        sys.setprofile(watch)
        try:
            assert run(["predict", f"{folder}/net.ckpt", f"{folder}/clip.mp4", "--backend", "pyav"]) == 0
        finally:
            sys.setprofile(None)
    assert set(stacks) == set(MILESTONES), f"never reached: {set(MILESTONES) - set(stacks)}"
    return list(dict.fromkeys(stop for stack in stacks.values() for stop in stack))


def _stack(frame: FrameType | None) -> list[tuple[str, str]]:
    stops: list[tuple[str, str]] = []
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(str(SOURCE)):
            stops.append((str(Path(file).relative_to(SOURCE)), frame.f_code.co_qualname))
        frame = frame.f_back
    return stops


def main() -> None:
    """Print the structure."""
    if "--predict" in sys.argv:
        stops = predict_path()
        print(*(f"{file}: {name}" for file, name in stops), sep="\n")
        print(f"{len(stops)} stops in {len({file for file, _ in stops})} files")
        return
    arrows = graph()
    for circle in circles(arrows):
        print("circle:", *circle)
    tally: dict[str, int] = defaultdict(int)
    for own, _ in package_arrows(arrows):
        tally[own] += 1
    print(f"{len(arrows)} files, {len(circles(arrows))} circles, {len(package_arrows(arrows))} arrows among packages")


if __name__ == "__main__":
    main()
