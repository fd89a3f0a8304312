"""Conversations to tokens: rendered with the tokenizer's chat template, every content found again where it stands.

The template is rendered twice: with the contents, and with a placeholder for each, which tells what it puts between
them. Where both do not agree, or where a content is not there exactly once, the template changes what was said (drops a
thought, moves an argument), and no mask could point into it. White space that it trims from either end of a content
is no change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ifcurate.corpus.messages import CONTENT, ROLE, Message, from_text, transcript
from ifcurate.corpus.settings import On
from ifcurate.errors import InputError, first_line
from ifcurate.model.windows import Encoding, encode_documents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REPLIER = "assistant"
TODAY = "26 Jul 2024"
"""Templates that tell the date get this one: the same command makes the same tokens on any day."""
_CLOCK = "strftime_now"
_STOPPED_CLOCK = (
    f"{{%- macro {_CLOCK}(format) %}}{{{{ {{'%Y-%m-%d': '2024-07-26'}}.get(format, '{TODAY}') }}}}{{% endmacro %}}"
    "{{ '' }}"
)
"""Put before a template that asks what time it is."""
_PLACEHOLDER = "\ue000{}\ue001"
_FOUND = re.compile("\ue000([0-9]+)\ue001")


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model reads it.

    Attributes:
        text: without the start token, which every window begins with anyway.
        starts: int64 [messages]: where each content begins in `text`.
        ends: int64 [messages], exclusive.
        skipped: int64 [messages]: white space trimmed from the beginning of each content.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    skipped: NDArray[np.int64]


def require_template(tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a tokenizer without a chat template.

    Raises:
        InputError: there is none, or there are several by name and none of them is the default.
    """
    try:
        tokenizer.get_chat_template()
    except ValueError as error:
        raise InputError(
            f"{tokenizer.name_or_path}: its tokenizer has no chat template, which documents of messages need "
            f"({first_line(error)}); give a model that has one, or put chat_template.jinja beside it."
        ) from error


def hash_template(tokenizer: PreTrainedTokenizerFast) -> str:
    """Hex SHA-256 of the chat template."""
    return sha256(tokenizer.get_chat_template().encode()).hexdigest()


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], names: Sequence[str], on: On | None
) -> list[Encoding]:
    """Tokenize documents: texts, or conversations where it is said whose messages carry a loss."""
    if on is None:
        return encode_documents(tokenizer, texts)
    return encode_conversations(tokenizer, texts, on, names)


def encode_conversations(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], on: On, names: Sequence[str]
) -> list[Encoding]:
    """Tokenize conversations, given as `messages.as_text` makes them.

    Character ranges are those in the transcript of the messages; what the template adds has empty ones. `scored` are
    the tokens of contents, and the special token behind each, which ends its turn.

    Args:
        tokenizer: with a chat template.
        texts: the conversations.
        on: whose contents carry a loss.
        names: one a conversation, for messages.

    Raises:
        InputError: the template cannot render a conversation, or changes it; names it.
    """
    conversations = [from_text(text) for text in texts]
    rendered = [
        render(tokenizer, messages, f"document {name}") for messages, name in zip(conversations, names, strict=True)
    ]
    special = _special_tokens(tokenizer)
    encodings = encode_documents(tokenizer, [one.text for one in rendered])
    return [
        _located(encoding, one, messages, np.isin(encoding.token_ids, special), on)
        for encoding, one, messages in zip(encodings, rendered, conversations, strict=True)
    ]


def render(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], where: str) -> Rendered:
    """The text of `messages`, and where each content is in it.

    Raises:
        InputError: see `encode_conversations`; begins with `where`.
    """
    if not messages:
        nothing = np.zeros(0, np.int64)
        return Rendered("", nothing, nothing, nothing)
    marked = [{**message, CONTENT: _PLACEHOLDER.format(number)} for number, message in enumerate(messages)]
    text = _apply(tokenizer, messages, where)
    parts = _FOUND.split(_apply(tokenizer, marked, where))
    between, order = parts[::2], [int(number) for number in parts[1::2]]
    if sorted(order) != list(range(len(messages))):
        lost = next(number for number in range(len(messages)) if order.count(number) != 1)
        raise _changes(tokenizer, where, lost)
    starts, ends, skipped = (np.zeros(len(messages), np.int64) for _ in range(3))
    reached = len(between[0]) if text.startswith(between[0]) else -1
    for number, behind in zip(order, between[1:], strict=True):
        found = _find(text, reached, messages[number][CONTENT], behind) if reached >= 0 else None
        if found is None:
            raise _changes(tokenizer, where, number)
        skipped[number], length = found
        starts[number], ends[number] = reached, reached + length
        reached += length + len(behind)
    if reached != len(text):
        raise _changes(tokenizer, where, order[-1])
    begin = len(tokenizer.bos_token) if tokenizer.bos_token and text.startswith(tokenizer.bos_token) else 0
    begin = min(begin, len(between[0]))
    return Rendered(text[begin:], starts - begin, ends - begin, skipped)


def _apply(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], where: str) -> str:
    template = tokenizer.get_chat_template()
    if _CLOCK in template:
        template = _STOPPED_CLOCK + template
    try:
        return str(
            tokenizer.apply_chat_template(list(messages), chat_template=template, tokenize=False, date_string=TODAY)
        )
    except Exception as error:  # templates raise what they like
        raise InputError(
            f"{where}: cannot be rendered with the chat template of {tokenizer.name_or_path} ({first_line(error)}); "
            "correct its messages or leave the row out."
        ) from error


def _find(text: str, reached: int, content: str, behind: str) -> tuple[int, int] | None:
    """White space trimmed from the beginning of `content`, and how many of its characters stand at `reached`, before
    `behind`; the fewest trimmed that fit."""
    core = content.strip()
    if not core:
        lead, trail = len(content), 0
    else:
        lead = len(content) - len(content.lstrip())
        trail = len(content) - lead - len(core)
    for skipped in range(lead + 1):
        for cut in range(trail + 1):
            kept = content[skipped : len(content) - cut]
            if text.startswith(kept, reached) and text.startswith(behind, reached + len(kept)):
                return skipped, len(kept)
    return None


def _changes(tokenizer: PreTrainedTokenizerFast, where: str, number: int) -> InputError:
    return InputError(
        f"{where}: the chat template of {tokenizer.name_or_path} changes the content of message {number} (counted from "
        "0), so that no mask could point into it; correct the message, leave the row out, or use another template."
    )


def _special_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    added = tokenizer.added_tokens_decoder.items()
    return sorted({*tokenizer.all_special_ids, *(number for number, token in added if token.special)})


def _located(
    encoding: Encoding, rendered: Rendered, messages: Sequence[Message], special: NDArray[np.bool_], on: On
) -> Encoding:
    """Tokens with ranges in the transcript instead of the rendered text, and which of them carry a loss."""
    if not messages:
        return Encoding(encoding.token_ids, encoding.starts, encoding.ends, np.ones(len(encoding), np.bool_))
    shown, order = transcript(messages), np.argsort(rendered.starts, kind="stable")
    starts, ends = rendered.starts[order], rendered.ends[order]
    shifts = (shown.starts + rendered.skipped - rendered.starts)[order]
    learned = np.array([on == "all" or messages[number][ROLE] == REPLIER for number in order])
    place = np.minimum(np.searchsorted(ends, encoding.starts, side="right"), len(order) - 1)
    inside = (encoding.starts < ends[place]) & (encoding.ends > starts[place]) & (encoding.ends > encoding.starts)
    clipped = [
        np.where(inside, np.clip(edge, starts[place], ends[place]) + shifts[place], 0)
        for edge in (encoding.starts, encoding.ends)
    ]
    before = np.searchsorted(ends, encoding.starts, side="right") - 1  # the content that a token stands behind
    closing = _first_of(special & ~inside & (before >= 0), before)
    scored = (inside & learned[place]) | (closing & learned[np.maximum(before, 0)])
    token_starts, token_ends = (edge.astype(np.int32) for edge in clipped)
    return Encoding(encoding.token_ids, token_starts, token_ends, scored)


def _first_of(mask: NDArray[np.bool_], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each group, the first token in `mask`."""
    places = np.flatnonzero(mask)
    first = np.zeros(len(mask), np.bool_)
    first[places[np.unique(group[places], return_index=True)[1]]] = True
    return first
