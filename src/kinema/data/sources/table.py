"""The data sets that ``kinema data make`` knows, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kinema.data.sources.hmdb51 import hmdb51
from kinema.data.sources.imagenet import imagenet
from kinema.data.sources.kinetics import kinetics400, kinetics600, kinetics700, mini_kinetics_200, mini_kinetics_ibm
from kinema.data.sources.listing import Listing
from kinema.data.sources.moments import mini_mit, moments
from kinema.data.sources.something import jester, mini_ssv2, something_v1, something_v2
from kinema.data.sources.sports1m import sports1m
from kinema.data.sources.ucf101 import ucf101

SOURCES: Mapping[str, Callable[[Path, Path], list[Listing]]] = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "kinetics400": kinetics400,
    "kinetics600": kinetics600,
    "kinetics700": kinetics700,
    "mini-kinetics-200": mini_kinetics_200,
    "mini-kinetics-ibm": mini_kinetics_ibm,
    "something-v1": something_v1,
    "something-v2": something_v2,
    "mini-ssv2": mini_ssv2,
    "jester": jester,
    "moments": moments,
    "mini-mit": mini_mit,
    "sports1m": sports1m,
    "imagenet": imagenet,
}
"""Each function takes the folder of annotations and the folder of videos and returns one listing for each split."""
