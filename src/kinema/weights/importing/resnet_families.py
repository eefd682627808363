"""Families of checkpoints whose networks are residual: what each is, and what its networks are fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from kinema.weights.imagenet import IMAGENET
from kinema.weights.importing import (
    ibm,
    mfnet,
    mmaction2,
    slowfast,
    torchvision_images,
    torchvision_s3d,
    torchvision_video,
    tsm,
    vmz,
)
from kinema.weights.importing.family import Family, Network
from kinema.weights.importing.inputs import (
    FACEBOOK,
    IG65M,
    IMAGENET_8,
    KINETICS_112,
    KINETICS_224,
    MFNET,
    MINUS_ONE_TO_ONE,
)

_SHIFT: Final = {"shift_div": "8, an eighth of the channels comes from the next frame, an eighth from the one before"}

_CAFFE2_STATE: Final = {
    r".*_momentum": "state of the optimizer",
    r"lr|model_iter|.*_iter|.*_lr": "state of the training",
}


def _frames_of_r2d(blobs: Mapping[str, Tensor]) -> dict[str, Any]:
    """R2D's stem covers all frames of a clip; one that covers a single frame belongs to f-R2D."""
    frames = blobs["conv1_w"].shape[2]
    if frames < 4:
        raise KeyError("conv1_w")
    return {"frames": frames}


TORCHVISION: Final = Family(
    name="torchvision",
    source="pytorch/vision",
    citation="torchvision, BSD-3-Clause",
    networks=(
        *(
            Network(model=model, options=options, keys=torchvision_video.foreign_keys, preprocessing=KINETICS_112)
            for model, options in torchvision_video.NETWORKS.values()
        ),
        *(
            Network(model=model, options=options, keys=torchvision_s3d.foreign_keys, preprocessing=KINETICS_224)
            for model, options in torchvision_s3d.NETWORKS.values()
        ),
        *(
            Network(
                model=f"tsn-{backbone}",
                keys=torchvision_images.foreign_keys,
                preprocessing=IMAGENET[backbone].preprocessing
                if backbone in IMAGENET
                else replace(IMAGENET_8, frames=1),
                of_images=True,
            )
            for backbone in torchvision_images.BACKBONES
        ),
    ),
    ignored={r"aux\d\..*": "auxiliary heads, used in training only"},
    kinetics_names=True,
)

VMZ: Final = Family(
    name="vmz",
    source="facebookresearch/VMZ and moabitcoin/ig65m-pytorch",
    citation="arXiv 1711.11248 and arXiv 1905.00561; VMZ, Apache-2.0; ig65m-pytorch, MIT",
    networks=(
        *(
            Network(
                model=model,
                options=options,
                keys=vmz.foreign_keys,
                preprocessing=IG65M,
            )
            for model, options in vmz.NETWORKS.values()
        ),
        *(
            Network(
                model=model.format(depth=depth),
                options=_frames_of_r2d if model.startswith("r2d") else {},
                keys=vmz.caffe2_keys,
                preprocessing=replace(KINETICS_112, frames=8, stride=1),
                classifier=r"last_out_L\d+_w",
            )
            for model in vmz.CAFFE2_NETWORKS.values()
            for depth in (18, 34)
        ),
    ),
    ignored=_CAFFE2_STATE,
    refused={
        r"layer1\.0\.conv3\.0.*": "its blocks are bottlenecks (R(2+1)D-152 and CSN-152), ours have basic blocks",
        r"comp_0_conv_3.*": "its blocks are bottlenecks (R(2+1)D-152 and CSN-152), ours have basic blocks",
    },
)

IBM: Final = Family(
    name="ibm",
    source="IBM/action-recognition-pytorch",
    citation="arXiv 2010.11757",
    networks=(
        *(
            Network(model=f"{module}-resnet{depth}{pooling}", keys=ibm.foreign_keys, preprocessing=IMAGENET_8)
            for module in ("tsn", "tam", "i3d", "s3d")
            for depth in (18, 50, 101)
            for pooling in ("", "-tp")
        ),
        *(
            Network(model=f"{module}-inceptionv1{pooling}", keys=ibm.foreign_keys, preprocessing=MINUS_ONE_TO_ONE)
            for module in ("tsn", "tam")
            for pooling in ("", "-tp")
        ),
        *(
            Network(
                model=f"{module}-inceptionv1{pooling}",
                options={"pools": f"ibm-{module}"},
                keys=ibm.foreign_keys,
                preprocessing=MINUS_ONE_TO_ONE,
            )
            for module in ("i3d", "s3d")
            for pooling in ("", "-tp")
        ),
        *(
            Network(model=f"{module}-resnet*", keys=ibm.foreign_keys, preprocessing=IMAGENET_8)
            for module in ("tsn", "tam", "i3d", "s3d")
        ),
    ),
    describe=ibm.describe,
)

TSM: Final = Family(
    name="tsm",
    source="mit-han-lab/temporal-shift-module",
    citation="arXiv 1811.08383, MIT",
    networks=(
        *(
            Network(
                model=f"{module}-{backbone}",
                keys=tsm.foreign_keys,
                preprocessing=IMAGENET_8,
                assumed=_SHIFT if module == "tsm" else {},
            )
            for module in ("tsn", "tsm")
            for backbone in ("resnet50", "resnet101", "mobilenetv2")
        ),
        Network(
            model="tsm+nl-resnet50",
            keys=tsm.foreign_keys,
            preprocessing=IMAGENET_8,
            options={"nl_blocks": list(tsm.NL_BLOCKS)},
            assumed=_SHIFT,
        ),
    ),
    flow=(0.5, 0.226),
    prepare=tsm.current_key,
)

MFNET_FAMILY: Final = Family(
    name="mfnet",
    source="cypw/PyTorch-MFNet",
    citation="arXiv 1807.11195",
    networks=(
        Network(model="i3d-mfnet", keys=mfnet.foreign_keys, preprocessing=MFNET),
        Network(model="tsn-mfnet", keys=mfnet.foreign_keys, preprocessing=replace(MFNET, frames=1)),
    ),
)

_SETTING: Final = {"setting": "8x8; the 16x8 network of 50 layers has the same tensors"}

_SLOW: Final = replace(FACEBOOK, frames=8, stride=8)

PYSLOWFAST: Final = Family(
    name="pyslowfast",
    source="facebookresearch/SlowFast",
    citation="arXiv 1812.03982, Apache-2.0",
    networks=tuple(
        Network(
            model=model,
            options=options,
            keys=keys,
            preprocessing=_SLOW if model.startswith("slow-") else FACEBOOK,
            classifier=classifier,
            assumed=_SETTING if (model, options.get("setting")) == ("slowfast-resnet50", "8x8") else {},
        )
        for model, options in slowfast.NETWORKS.values()
        for keys, classifier in (
            (slowfast.pyslowfast_keys, r"head\.projection\.weight"),
            (slowfast.caffe2_keys, "pred_w"),
        )
    ),
    ignored=_CAFFE2_STATE,
    kinetics_names=True,
)

PYTORCHVIDEO: Final = Family(
    name="pytorchvideo",
    source="facebookresearch/pytorchvideo",
    citation="arXiv 2111.09887, Apache-2.0",
    networks=tuple(
        Network(
            model=model,
            options=options,
            keys=slowfast.pytorchvideo_keys,
            preprocessing=_SLOW if model.startswith("slow-") else FACEBOOK,
            assumed=_SETTING if (model, options.get("setting")) == ("slowfast-resnet50", "8x8") else {},
        )
        for model, options in slowfast.NETWORKS.values()
    ),
    kinetics_names=True,
    refused={
        r"blocks\.\d\.res_blocks\.\d\.branch2\.conv_b\.conv_t\..*": "its R(2+1)D-50 has bottlenecks whose temporal "
        "convolution comes first; ours has basic blocks",
    },
)

MMACTION2: Final = Family(
    name="mmaction2",
    source="open-mmlab/mmaction2",
    citation="mmaction2, Apache-2.0",
    networks=tuple(
        Network(
            model=f"{module}-resnet{depth}",
            keys=mmaction2.foreign_keys,
            preprocessing=IMAGENET_8,
            assumed=_SHIFT if module == "tsm" else {},
        )
        for module in ("tsn", "tsm")
        for depth in (50, 101, "*")
    ),
    ignored={r"data_preprocessor\..*": "mean and deviation, which are known"},
    refused={
        r"backbone\..*\.conv_s\..*": "its R(2+1)D-34 has a stem of 83 channels, one more max-pool and factorised "
        "shortcuts (63,759,281 parameters); the R(2+1)D paper's, r2plus1d-vresnet34, has none of these",
        r"backbone\.(slow|fast)_path\..*": "its SlowFast has no norm behind the lateral convolutions; "
        "import PySlowFast's or pytorchvideo's weights",
        r"backbone\.conv1\.conv\.weight \(\d+, \d+, [35], 7, 7\)": "its I3D-50 inflates 1 x 1 convolutions of every "
        "second block and pools time; i3d-resnet50 inflates the 3 x 3 ones",
    },
)
