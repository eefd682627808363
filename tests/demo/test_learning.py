"""The demo in miniature: a network that sees order learns what the same network without it cannot."""

import json

import pytest

from kinema.cli.demo import run_demo
from kinema.data.manifest import Manifest
from kinema.recipes.demo import demo as demo_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    small = demo_recipe().with_fields(
        {
            "data.num_workers": 0,
            "data.crop_size": 48,
            "train.batch_size": 8,
            "train.validate_every": 10,
            "schedule.epochs": 10,
            "schedule.warmup_epochs": 2.0,
        }
    )
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder, recipe=small, num_videos=320, size=48)
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
