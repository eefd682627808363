"""What every row of the table of data sets has to do: a new one is held to it without a new test."""

from pathlib import Path

import pytest

from kinema.cli.data_make import make
from kinema.data.sources.make import make_manifests
from kinema.data.sources.table import DATA_SETS, names_with_lists
from kinema.errors import UserError
from kinema.planning.videos import find_videos
from kinema.training.find_recipe import load_recipe


@pytest.mark.parametrize("name", names_with_lists())
def test_without_its_lists_it_says_what_it_looks_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)) as caught:
        make_manifests(name, videos=tmp_path, annotations=tmp_path)
    assert any(ending in str(caught.value) for ending in (".txt", ".csv", ".json", "CSV", ".JPEG"))


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_plan_can_be_made_of_it(name: str) -> None:
    row = DATA_SETS[name]
    videos, _, source = find_videos(load_recipe("finetune"), data=None, dataset=name, num_videos=0)
    assert videos.num_train > videos.num_classes > 1
    assert videos.num_all == row.num_train + row.num_val + row.num_test
    assert row.source in source


@pytest.mark.parametrize("name", DATA_SETS)
def test_help_and_page_describe_it(name: str) -> None:
    described = " ".join((make.__doc__ or "").split()).partition("Data sets: ")[2].partition(". ")[0].split(", ")
    assert (name in described) == bool(DATA_SETS[name].home)
    page = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    assert f"| `{name}` | {DATA_SETS[name].summary} |" in page.read_text()
