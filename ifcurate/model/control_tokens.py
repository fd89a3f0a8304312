"""Tokens that steer a model: read before a text, never written. The checkpoint's generation settings name them.

`suppress_tokens` is transformers' own name for tokens that `generate` never draws. What is to be read before a text has
no name there, and stands beside it under ours.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ifcurate.model.trust import NOBODY, Trust
from ifcurate.storage.fetched import at_hand

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

PREFIX_KEY = "ifcurate_prefix"


@dataclass(frozen=True)
class ControlTokens:
    """Token ids.

    Attributes:
        prefix: read before every text, behind the start token where there is one.
        banned: never drawn.
    """

    prefix: tuple[int, ...] = ()
    banned: tuple[int, ...] = ()

    @classmethod
    def said_by(cls, settings: GenerationConfig | None) -> ControlTokens:
        """Those that the generation settings of a model name."""
        prefix, banned = (getattr(settings, key, None) or () for key in (PREFIX_KEY, "suppress_tokens"))
        return cls(tuple(map(int, prefix)), tuple(map(int, banned)))

    def write(self, model: PreTrainedModel) -> None:
        """Name them in the generation settings of `model`, which every checkpoint of it holds."""
        settings = model.generation_config
        settings.suppress_tokens = list(self.banned)
        setattr(settings, PREFIX_KEY, list(self.prefix))
        settings._from_model_config = False  # or `generate` makes them anew from the model's configuration

    def provenance(self) -> dict[str, Any]:
        """What completions depend on; nothing where there are no such tokens."""
        return {"prefix": list(self.prefix), "banned": list(self.banned)} if self.prefix or self.banned else {}

    def before(self, token_ids: Sequence[int], starts: Container[int | None], room: int) -> list[int]:
        """The last of `token_ids` that fit in `room` with the prefix, which comes first but for one of `starts`."""
        kept = list(token_ids[max(len(token_ids) + len(self.prefix) - room, 0) :])
        head = int(bool(kept) and kept[0] in starts)
        return [*kept[:head], *self.prefix, *kept[head:]]


NO_CONTROL = ControlTokens()


def load_control_tokens(place: str, revision: str | None = None, trust: Trust = NOBODY) -> ControlTokens:
    """Those of the model at `place`, a folder or Hub id, without its weights; none where it has no such settings."""
    from transformers import GenerationConfig

    folder = at_hand(place)
    try:
        return ControlTokens.said_by(GenerationConfig.from_pretrained(folder, revision=revision, **trust.of_code()))
    except OSError:
        return NO_CONTROL
