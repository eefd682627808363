"""The forms that were found fastest on this machine, kept on the disk for the next run of the same network."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinema.files import write_text
from kinema.models.action_model import ActionModel

CONTENT = "kinema forms"
FORMAT = 1

log = logging.getLogger("kinema")


class KnownForms:
    """The file with the forms of one network for clips of one shape; it may not exist.

    It lies in torch.hub's folder, beside the weights that are downloaded, and is named by a hash of all that the choice
    depends on: the processor and the instructions that torch uses of it, the number of threads, the versions of torch
    and of this package, the network's layers and the shape of the clips. A file that cannot be read, is damaged or is
    about something else counts as absent; where none can be written, the choice is made again next time.

    Args:
        model: The network.
        shape: Of the clips, axes ``b c t h w``.

    Attributes:
        path: The file.
    """

    def __init__(self, model: ActionModel, shape: torch.Size) -> None:
        self._key = {"machine": machine(), "network": network_digest(model), "clips": list(shape)}
        name = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()[:32]
        self.path = Path(torch.hub.get_dir()) / "kinema-forms" / f"{name}.json"

    def read(self) -> dict[str, str] | None:
        """The forms by the names of layers; None where they are not known."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # absent or not ours to read; no JSON, or no text at all
            return None
        head = {"content": CONTENT, "format": FORMAT, "key": self._key}
        if not isinstance(content, dict) or {name: content.get(name) for name in head} != head:
            return None
        forms = content.get("forms")
        if not isinstance(forms, dict) or not all(isinstance(form, str) for form in forms.values()):
            return None
        return forms

    def write(self, forms: Mapping[str, str]) -> bool:
        """Keep forms for the next run; gives whether that was possible."""
        content = {"content": CONTENT, "format": FORMAT, "key": self._key, "forms": dict(forms)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, json.dumps(content))
        except OSError as error:
            log.debug("the forms of this network are not kept: %s", error)
            return False
        return True


def machine() -> dict[str, Any]:
    """What the time of a convolution depends on, besides the convolution; JSON values."""
    from kinema import __version__

    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "limit": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "kinema": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # there is none but on Linux
        return platform.processor() or platform.machine()
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    model = {name.strip(): value.strip() for name, value in named.items()}
    parts = [model.get(name, "") for name in ("vendor_id", "cpu family", "model", "model name")]
    return " ".join(parts).strip() or platform.machine()


def network_digest(model: ActionModel) -> str:
    """Hash a network's layers and the shapes of its weights, not their values."""
    digest = hashlib.sha256(f"{model.name} {model}".encode())
    for name, values in model.state_dict().items():
        digest.update(f"{name} {tuple(values.shape)} {values.dtype};".encode())
    return digest.hexdigest()
