"""Files of public code bases, built by the published rule and imported, compute what the public code computes."""

import csv
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_networks import Reference, read_reference
from torch import Tensor

from kinema import load
from kinema.weights.importing.importer import Imported, import_checkpoint

PLAIN: Mapping[str, Any] = {}


def save(path: Path, state: Mapping[str, Tensor], *, outer: str, prefix: str) -> Path:
    """A file as the code base writes it: under its outer key and prefix, with training state beside."""
    tensors = {f"{prefix}{key}": value for key, value in state.items()}
    beside = {"epoch": 3, "arch": "net", "best_prec1": np.float64(71.5), "optimizer": {"state": {}, "lr": [0.1]}}
    torch.save({outer: tensors, **beside} if outer else tensors, path)
    return path


def agrees(imported: Imported, reference: Reference) -> bool:
    with torch.inference_mode():
        logits = imported.model.double()(reference.clip)[0]
    return bool((logits - reference.logits).abs().max() / reference.logits.abs().max() < 1e-9)


def rows() -> list[Any]:
    """One of each family in the default tier; those that other files hold against the same numbers are slow."""
    ibm = ("ibm", "state_dict", "")
    tsm = ("tsm", "state_dict", "module.")
    facebook = ("pyslowfast", "model_state", "")
    slow = pytest.mark.slow
    return [
        pytest.param("ibm-i3d_resnet50", *ibm, "i3d-resnet50", PLAIN),
        pytest.param("ibm-i3d_resnet50-ts", *ibm, "i3d-resnet50-tp", PLAIN, marks=slow),
        pytest.param("ibm-i3d_resnet18", *ibm, "i3d-resnet18", PLAIN, marks=slow),
        pytest.param("ibm-i3d_resnet18-ts", *ibm, "i3d-resnet18-tp", PLAIN),
        pytest.param("ibm-s3d_resnet18", *ibm, "s3d-resnet18", PLAIN),
        pytest.param("ibm-tam_resnet50", *ibm, "tam-resnet50", PLAIN),
        pytest.param("ibm-tsn_resnet18-tp", *ibm, "tsn-resnet18-tp", PLAIN),
        pytest.param("ibm-tam_inception_v1", *ibm, "tam-inceptionv1", PLAIN),
        pytest.param("ibm-tam_inception_v1-ts", *ibm, "tam-inceptionv1-tp", PLAIN),
        pytest.param("ibm-i3d_inception_v1", *ibm, "i3d-inceptionv1", {"pools": "ibm-i3d"}),
        pytest.param("ibm-s3d_inception_v1", *ibm, "s3d-inceptionv1", {"pools": "ibm-s3d"}),
        pytest.param("ibm-s3d_inception_v1-ts", *ibm, "s3d-inceptionv1-tp", {"pools": "ibm-s3d"}),
        pytest.param("tsm-tsn_resnet50", *tsm, "tsn-resnet50", PLAIN, marks=slow),
        pytest.param("tsm-resnet50-shift8_blockres", *tsm, "tsm-resnet50", PLAIN),
        pytest.param("tsm-resnet50-shift8_blockres_nl", *tsm, "tsm+nl-resnet50", PLAIN),
        pytest.param("tsm-mobilenetv2-shift8_blockres", *tsm, "tsm-mobilenetv2", PLAIN),
        pytest.param("torchvision-mc3_18", "torchvision", "", "", "mc3-vresnet18", PLAIN),
        pytest.param("torchvision-r3d_18", "torchvision", "", "", "r3d-vresnet18", PLAIN, marks=slow),
        pytest.param("torchvision-r2plus1d_18", "torchvision", "", "", "r2plus1d-vresnet18", PLAIN, marks=slow),
        pytest.param("torchvision-s3d", "torchvision", "", "", "s3d2-inceptioni3d", PLAIN),
        pytest.param("torchvision-s3d-t32", "torchvision", "", "", "s3d2-inceptioni3d", PLAIN, marks=slow),
        pytest.param("ig65m-r2plus1d_34", "vmz", "", "", "r2plus1d-vresnet34", PLAIN, marks=slow),
        pytest.param("vmz-r2plus1d_34", "vmz", "", "", "r2plus1d-vresnet34", PLAIN, marks=slow),
        pytest.param("mfnet-mfnet_3d", "mfnet", "state_dict", "module.", "i3d-mfnet", PLAIN),
        pytest.param("kylemin-s3d", "kylemin", "", "module.", "s3d2-inceptioni3d", PLAIN),
        pytest.param("kylemin-s3d-t32", "kylemin", "", "module.", "s3d2-inceptioni3d", PLAIN, marks=slow),
        pytest.param("howto100m-s3dg", "howto100m", "", "", "s3d2+gate-inceptioni3d", PLAIN),
        pytest.param("piergiaj-i3d-rgb", "piergiaj", "", "", "i3d-inceptioni3d", {"padding": "same"}),
        pytest.param("piergiaj-i3d-rgb-t32", "piergiaj", "", "", "i3d-inceptioni3d", PLAIN, marks=slow),
        pytest.param("hassony2-i3d-rgb", "hassony2", "", "", "i3d-inceptioni3d", {"padding": "same"}),
        pytest.param("pyslowfast-slow_8x8_r50", *facebook, "slow-resnet50", PLAIN),
        pytest.param("pyslowfast-slowfast_4x16_r50", *facebook, "slowfast-resnet50", {"setting": "4x16"}, marks=slow),
        pytest.param("pyslowfast-slowfast_8x8_r50", *facebook, "slowfast-resnet50", {"setting": "8x8"}, marks=slow),
        pytest.param("pytorchvideo-slow_r50", "pytorchvideo", "model_state", "", "slow-resnet50", PLAIN),
        pytest.param(
            "pytorchvideo-slowfast_r50", "pytorchvideo", "model_state", "", "slowfast-resnet50", PLAIN, marks=slow
        ),
    ]


@pytest.mark.parametrize(("network", "family", "outer", "prefix", "name", "options"), rows())
def test_public_code_agrees(
    shared_published: Path,
    tmp_path: Path,
    network: str,
    family: str,
    outer: str,
    prefix: str,
    name: str,
    options: dict[str, object],
) -> None:
    reference = read_reference(shared_published, network)
    file = save(tmp_path / "their.pth", reference.state, outer=outer, prefix=prefix)
    # IBM's networks with and without temporal stride have the same tensors: only there the name must be given
    imported = import_checkpoint(file, family, model=name if family == "ibm" else "")
    assert imported.model.name == name
    assert imported.model.options.items() >= options.items()
    assert all(key.startswith("text_module.") for key in imported.ignored)  # half of HowTo100M's file
    assert len(imported.classes) == imported.model.num_classes == len(reference.logits)
    assert agrees(imported, reference)


def test_a_tsm_file_becomes_a_checkpoint(shared_published: Path, tmp_path: Path) -> None:
    """The name that its authors gave the file tells data set, frames and accuracy; the head's older name is known."""
    reference = read_reference(shared_published, "tsm-mobilenetv2-shift8_blockres")
    state = {key.replace("new_fc", "base_model.classifier"): value for key, value in reference.state.items()}
    file = tmp_path / "TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth"
    imported = import_checkpoint(save(file, state, outer="state_dict", prefix="module."), "tsm")
    assert agrees(imported, reference)
    imported.model.float()
    trained = load(imported.save(tmp_path / "ours.ckpt"))
    assert trained.model.name == "tsm-mobilenetv2"
    assert (trained.preprocessing.sampling, trained.preprocessing.frames, trained.preprocessing.stride) == (
        "dense",
        8,
        8,
    )
    assert trained.scores == {"published_top1": 69.5}
    with torch.inference_mode():
        ours = trained.model(reference.clip.float())[0].double()
    assert (ours - reference.logits).abs().max() / reference.logits.abs().max() < 1e-4


@pytest.mark.parametrize(
    ("network", "setting"),
    [
        pytest.param("pyslowfast-slowfast_4x16_r50", "4x16"),
        pytest.param("pyslowfast-slowfast_8x8_r50", "8x8", marks=pytest.mark.slow),
    ],
)
def test_caffe2_blobs_agree(shared_published: Path, tmp_path: Path, network: str, setting: str) -> None:
    """As the model zoo has them: a pickle of the old protocol, momentum and counters beside the weights."""
    reference = read_reference(shared_published, network)
    with (shared_published / "keys" / f"{network}.caffe2.keys.csv").open() as listed:
        blobs: dict[str, Any] = {
            row["key"]: reference.state[row["torch_key"]].numpy() for row in csv.DictReader(listed)
        }
    blobs |= {"conv1_w_momentum": np.zeros((64, 3, 1, 7, 7), np.float32), "lr": np.float32(0.1), "model_iter": 7}
    file = tmp_path / "their.pkl"
    file.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2).replace(b"numpy._core.", b"numpy.core."))
    imported = import_checkpoint(file, "pyslowfast")
    assert imported.model.options == {"setting": setting}
    assert imported.ignored == {"conv1_w_momentum": "state of the optimizer"}
    assert imported.classes[:2] == ("abseiling", "air drumming")
    assert agrees(imported, reference)
