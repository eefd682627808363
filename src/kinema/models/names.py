"""The grammar of model names and the list of the usual ones. Loads no torch, so that listing names is instant.

name = module{+module}[@placement]-backbone[-tp]        tam@tophalf-resnet18   i3d+se-resnet50-tp
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.models import catalogue
from kinema.models.cards import BackboneCard, ModuleCard
from kinema.models.placement import check_placement
from kinema.specs.aliases import ALIASES


class Summaries(Mapping[str, str]):
    """The line about each row of a table of cards, as the table is at the moment."""

    def __init__(self, cards: Mapping[str, ModuleCard] | Mapping[str, BackboneCard]) -> None:
        self._cards = cards

    def __getitem__(self, name: str) -> str:
        return self._cards[name].summary

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)


MODULES: Final = Summaries(catalogue.MODULES)
"""Temporal modules by name, with a line about each; the rows are in ``kinema.models.catalogue``."""

BACKBONES: Final = Summaries(catalogue.BACKBONES)
"""Backbones by name, with a line about each; the rows are in ``kinema.models.catalogue``."""

_TEMPORAL_POOLING = "-tp"


@dataclass(frozen=True)
class ModelName:
    """What a model's name says: which modules, where, on which backbone, with temporal pooling or without.

    Attributes:
        modules: Temporal modules in the order in which they act, such as ``("tsm", "nl")``.
        placement: Where they sit, such as ``"tophalf"``; empty means everywhere.
        backbone: The two-dimensional network that carries them.
        temporal_pooling: Whether time is halved at the last three spatial poolings.
        alias: The name it was written as, where that is an alias; two names are equal whatever their aliases.
    """

    modules: tuple[str, ...]
    backbone: str
    placement: str = ""
    temporal_pooling: bool = False
    alias: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check every word, so that a name that exists can be built."""
        if self.backbone not in BACKBONES:
            raise unknown_name("backbone", self.backbone, BACKBONES, f"Known: {', '.join(BACKBONES)}.")
        for module in self.modules:
            if module not in MODULES:
                raise unknown_name("temporal module", module, MODULES, f"Known: {', '.join(MODULES)}.")
        if not self.modules or len(set(self.modules)) < len(self.modules):
            raise UserError(f"a model needs at least one temporal module and each at most once, got {self.modules}")
        if "tsn" in self.modules and len(self.modules) > 1:
            rest = "+".join(m for m in self.modules if m != "tsn")
            raise UserError(f"tsn stands for no module and cannot be stacked; write {rest}-{self.backbone}")
        cards = {module: catalogue.MODULES[module] for module in self.modules}
        for module, card in cards.items():
            if card.alone and (len(cards) > 1 or self.placement or self.temporal_pooling):
                raise UserError(
                    f"{module} takes no other module, no placement and no -tp: {card.alone}; "
                    f"write {module}-{self.backbone}"
                )
        check_placement(self.placement)
        for word, card in {self.backbone: catalogue.BACKBONES[self.backbone], **cards}.items():
            if self.temporal_pooling and card.no_temporal_pooling:
                raise UserError(f"{word} has no form with -tp: {card.no_temporal_pooling}")
        for module in self.modules:
            if reason := refusal(module, self.backbone):
                raise UserError(f"{module} does not go with {self.backbone}: {reason}")
        for module, card in cards.items():
            for other in self.modules:
                if other in card.refuses_modules:
                    raise UserError(f"{module} and {other} do not go together: {card.refuses_modules[other]}")

    @property
    def no_image_weights(self) -> str:
        """Why the network cannot start from an image network's weights; empty where it can."""
        return next(filter(None, (catalogue.MODULES[module].no_image_weights for module in self.modules)), "")

    def needed_options(self, *, frames: int) -> dict[str, int]:
        """The options without which this model cannot be built, for clips of ``frames`` frames; mostly none."""
        return {"frames": frames} if any(catalogue.MODULES[module].one_length for module in self.modules) else {}

    def __str__(self) -> str:
        """The name as ``parse`` reads it."""
        if self.alias:
            return self.alias
        where = f"@{self.placement}" if self.placement else ""
        return f"{'+'.join(self.modules)}{where}-{self.backbone}{_TEMPORAL_POOLING if self.temporal_pooling else ''}"

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read a model name; printing the result gives the name back.

        Args:
            text: Such as ``"tam@tophalf-resnet18-tp"``, or an alias.

        Raises:
            UserError: A word is unknown (the nearest known ones are offered) or the form is wrong.
        """
        rest = text.removesuffix(_TEMPORAL_POOLING)
        if rest in ALIASES:
            target = cls.parse(ALIASES[rest] + text[len(rest) :])
            return cls(target.modules, target.backbone, target.placement, target.temporal_pooling, alias=text)
        head, dash, backbone = rest.rpartition("-")
        modules, at, placement = head.partition("@")
        if not dash or not modules or (at and not placement):
            known = [*list_models(), *ALIASES]
            raise unknown_name(
                "model", text, known, "A name is module{+module}[@placement]-backbone[-tp]; see: kinema models"
            )
        return cls(
            modules=tuple(modules.split("+")),
            backbone=backbone,
            placement="" if placement == "all" else placement,
            temporal_pooling=rest != text,
        )


def list_models(pattern: str = "*") -> list[str]:
    """Names of the models that can be built: every module on every backbone, with and without temporal pooling.

    Placements, and stacks other than the usual ones, are not listed: each can be added to any name.

    Args:
        pattern: Which to list; ``*`` and ``?`` stand for any text and any letter.

    Returns:
        The names in the order of the tables: backbone, then temporal pooling, then module.
    """
    return [name for name in (*_all_names(), *ALIASES) if fnmatch.fnmatchcase(name, pattern)]


def refusal(module: str, backbone: str) -> str:
    """Why a module does not go with a backbone; empty where it does."""
    for pattern, reason in catalogue.MODULES[module].refuses.items():
        if fnmatch.fnmatchcase(backbone, pattern):
            return reason
    return catalogue.BACKBONES[backbone].refuses.get(module, "")


def listed_on(backbone: str, *, temporal_pooling: bool = False) -> tuple[str, ...]:
    """Modules and stacks that the list shows for a backbone; other pairs can be named too, unless refused.

    They are, in this order: those of the backbone's row (every usual module where it names none), its stacks, and the
    modules whose own row names the backbone; without those that are refused.

    Args:
        backbone: A name of ``BACKBONES``.
        temporal_pooling: Whether the names are to end in ``-tp``.
    """
    if temporal_pooling and catalogue.BACKBONES[backbone].no_temporal_pooling:
        return ()
    return tuple(
        dict.fromkeys(text for text in _candidates(backbone) if _is_possible(text, backbone, temporal_pooling))
    )


def _candidates(backbone: str) -> Iterator[str]:
    card = catalogue.BACKBONES[backbone]
    yield from (
        (name for name, module in catalogue.MODULES.items() if module.is_usual) if card.lists is None else card.lists
    )
    yield from card.stacks
    for name, module in catalogue.MODULES.items():
        if any(fnmatch.fnmatchcase(backbone, pattern) for pattern in module.listed_on or ()):
            yield name


def _is_possible(modules: str, backbone: str, temporal_pooling: bool) -> bool:
    for module in modules.split("+"):
        card = catalogue.MODULES[module]
        if refusal(module, backbone) or (temporal_pooling and (card.alone or card.no_temporal_pooling)):
            return False
    return True


def _all_names() -> Iterator[str]:
    for backbone in BACKBONES:
        for temporal_pooling in (False, True):
            for modules in listed_on(backbone, temporal_pooling=temporal_pooling):
                yield str(ModelName(tuple(modules.split("+")), backbone, temporal_pooling=temporal_pooling))
