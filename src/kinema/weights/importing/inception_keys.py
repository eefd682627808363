"""What the tensors of inceptioni3d are, so that each family's map is a table of the names it gives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from kinema.errors import CheckpointError
from kinema.models.action_model import ActionModel

Part: TypeAlias = Literal["conv", "norm", "conv_time", "norm_time", "gate", "classifier"]
"""A convolution and its norm; the temporal convolution behind and its norm; the gate; the head."""

_KEY: Final = re.compile(
    r"(?:conv(?P<stem>[123])|inception(?P<module>[345][a-e])\.branch(?P<branch>[1234])(?:\.(?P<index>[01]))?)"
    r"\.(?P<part>conv|bn|activated\.(?:\d\.)?(?:conv|norm|linear))\.(?P<leaf>\w+)"
)
_PARTS: Final[dict[str, Part]] = {"conv": "conv", "bn": "norm"}
_PARTS_BEHIND: Final[dict[str, Part]] = {"conv": "conv_time", "norm": "norm_time", "linear": "gate"}


class InceptionTensor(NamedTuple):
    """One tensor, by the names of the I3D and S3D-G papers.

    Attributes:
        layer: ``"1a"``, ``"2b"``, ``"2c"`` in the stem, ``"3b"`` to ``"5c"`` in the modules, ``""`` in the head.
        branch: 0 to 3 in a module, else -1.
        index: 0 or 1, the convolution's position in its branch, where the pool of branch 3 is counted.
        part: What it belongs to.
        leaf: ``"weight"``, ``"bias"``, ``"running_mean"``, ``"running_var"`` or ``"num_batches_tracked"``.
    """

    layer: str
    branch: int
    index: int
    part: Part
    leaf: str

    @property
    def is_wide(self) -> bool:
        """Whether its convolution has a kernel larger than 1 x 1, which two-branch S3D splits."""
        return self.layer in ("1a", "2c") or (self.branch in (1, 2) and self.index == 1)


def mapped(model: ActionModel, name: Callable[[InceptionTensor], str | None]) -> dict[str, str]:
    """The foreign key of every tensor of a model on inceptioni3d.

    Args:
        model: The model.
        name: The family's name of a tensor; None where its networks have no such tensor.

    Raises:
        CheckpointError: The model has tensors that the family's networks do not have.
    """
    keys: dict[str, str] = {}
    for key in model.state_dict():
        tensor = read_key(key)
        foreign = name(tensor) if tensor is not None else None
        if foreign is None:
            raise CheckpointError(f"files of this family have no tensor for {key} of {model.name}")
        keys[key] = foreign
    return keys


def read_key(key: str) -> InceptionTensor | None:
    """What a key of our state dictionary names; None for parts that no public network has."""
    if key in ("fc.weight", "fc.bias"):
        return InceptionTensor("", -1, 0, "classifier", key.removeprefix("fc."))
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    own, leaf = found["part"], found["leaf"]
    part = _PARTS[own] if own in _PARTS else _PARTS_BEHIND[own.rsplit(".", 1)[1]]
    if found["stem"]:
        return InceptionTensor(("1a", "2b", "2c")[int(found["stem"]) - 1], -1, 0, part, leaf)
    stage, letter = found["module"]
    return InceptionTensor(
        f"{stage}{chr(ord(letter) + 1)}", int(found["branch"]) - 1, int(found["index"] or 0), part, leaf
    )
