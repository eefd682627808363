"""Limits of the structure, as ``structure.py`` measures it: they only ever fall."""

from structure import circles, graph, package_arrows, predict_path

MAX_CIRCLES = 0
MAX_STOPS, MAX_FILES = 15, 12


def test_few_circles_and_none_across_packages() -> None:
    found = circles(graph())
    assert len(found) <= MAX_CIRCLES, found
    for circle in found:
        assert len({name.split(".")[1] for name in circle}) == 1, circle


def test_no_two_packages_import_each_other() -> None:
    arrows = package_arrows(graph())
    assert not [(own, other) for own, other in arrows if (other, own) in arrows]


def test_a_prediction_is_soon_followed() -> None:
    stops = predict_path()
    assert len(stops) <= MAX_STOPS, stops
    assert len({file for file, _ in stops}) <= MAX_FILES, stops
