"""The demo in miniature: a network that sees order learns what the same network without it cannot."""

import json

import pytest

from kinema.cli.demo import run_demo
from kinema.data.manifest import Manifest
from kinema.demo.recipe import demo as demo_recipe


def small_recipe(num_epochs):
    return demo_recipe().with_fields(
        {
            "data.num_workers": 0,
            "data.crop_size": 48,
            "train.batch_size": 8,
            "train.validate_every": 8,
            "schedule.epochs": num_epochs,
            "schedule.warmup_epochs": 2.0,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder, recipe=small_recipe(8), num_videos=320, size=48)
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_the_network_that_sees_order_names_class_and_mirrored_class(results):
    assert results["tsm"]["forward"] > 0.9
    assert results["tsm"]["mirrored"] > 0.9
    assert results["tsm"]["reversed"] < 0.05


def test_the_network_that_does_not_names_the_pair_and_guesses_the_member(results):
    assert results["tsn"]["pair"] > 0.9
    assert results["tsn"]["member"] == pytest.approx(0.5, abs=0.03)
    assert results["tsn"]["forward"] == pytest.approx(results["tsn"]["reversed"], abs=0.03)


def test_the_folder_holds_runs_report_and_videos(folder, results):
    assert results["num_test_videos"] == 96
    assert results["seconds"] > 0
    assert "the mirrored class" in (folder / "report.md").read_text()
    for network in ("tsm", "tsn"):
        assert (folder / "runs" / network / "best.ckpt").is_file()
    assert len(Manifest.open(folder / "manifest.csv")) == 320


def test_a_second_demo_in_the_same_folder_keeps_the_videos_and_the_first_runs(folder, results, capsys):
    files = [folder / "runs/tsm/best.ckpt", folder / "videos/growing/scene_00002.mp4"]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    run_demo(folder, recipe=small_recipe(1), num_videos=320, size=48)
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    assert (folder / "runs/tsm-2/best.ckpt").is_file()
    assert json.loads((folder / "results.json").read_text())["tsm"]["forward"] < results["tsm"]["forward"]
    printed = capsys.readouterr().out
    assert "something in this installation is worth a look" in " ".join(printed.split())  # one epoch is not enough
    assert f"kinema predict {folder / 'runs/tsm-2'} {folder / 'videos'}" in printed
