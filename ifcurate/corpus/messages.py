"""Documents that are conversations: messages of a role and a content, as a text that everything else can carry.

A row's messages are kept as JSON (`as_text`), the same whichever file they came from. People see them, and spans are
first found in them, as a *transcript*: the contents one after the other, each behind its role. A character of it is
one of a content, at a known place there, or none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROLE, CONTENT = "role", "content"
Message = dict[str, Any]
_LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")


def is_messages(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are lists of messages."""
    if not any(getattr(pa.types, f"is_{layout}")(kind) for layout in _LISTS):
        return False
    inner = kind.value_type
    return bool(pa.types.is_struct(inner)) and {ROLE, CONTENT} <= {field.name for field in inner}


def as_text(messages: Any) -> str | None:
    """Messages as JSON: keys sorted, nulls left out, whole numbers without a fraction; no message is no text.

    None where they are no list, or one of them has no role or no content that is a string.
    """
    if not isinstance(messages, list):
        return None
    if not all(isinstance(one, dict) and _is_text(one.get(ROLE)) and _is_text(one.get(CONTENT)) for one in messages):
        return None
    return json.dumps(_plain(messages), ensure_ascii=False, sort_keys=True) if messages else ""


def from_text(text: str) -> list[Message]:
    """What `as_text` was given."""
    return list(json.loads(text)) if text else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Transcript:
    """A conversation as people read it.

    Attributes:
        text: `role: content`, an empty line between messages.
        starts: int64 [messages]: the character that each content begins with.
        ends: int64 [messages], exclusive.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def transcript(messages: Sequence[Message]) -> Transcript:
    """The transcript of `messages`."""
    text, starts, ends = "", [], []
    for number, message in enumerate(messages):
        text += f"{chr(10) * 2 if number else ''}{message[ROLE]}: "
        starts.append(len(text))
        text += message[CONTENT]
        ends.append(len(text))
    return Transcript(text, np.array(starts, np.int64), np.array(ends, np.int64))
