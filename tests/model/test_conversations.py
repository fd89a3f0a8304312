"""Messages to tokens: every content is found where the template puts it, or the row is refused."""

from __future__ import annotations

import numpy as np
import pytest
from chats import CHATML, SYSTEM_LAST, THOUGHTLESS, TRIMMED, chat_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer

from ifcurate.corpus.messages import as_text, from_text, transcript
from ifcurate.errors import InputError
from ifcurate.model.conversations import encode, encode_conversations, render, require_template

contents = st.text(st.characters(exclude_categories=["Cs", "Co"]), max_size=12)
chats = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": contents}), max_size=5
)
TOKENIZERS = {name: chat_tokenizer(template) for name, template in (("chatml", CHATML), ("trimmed", TRIMMED))}
CHAT = [
    {"role": "system", "content": "Be nice."},
    {"role": "user", "content": "nice"},
    {"role": "assistant", "content": " You are nice. "},
]


@given(messages=chats, name=st.sampled_from(sorted(TOKENIZERS)))
@settings(max_examples=30, deadline=None)
def test_every_content_stands_where_it_is_said_to(messages, name):
    tokenizer = TOKENIZERS[name]
    found = render(tokenizer, messages, "row 0")
    whole = tokenizer.apply_chat_template(messages, tokenize=False) if messages else ""
    assert whole.endswith(found.text)
    assert whole.removesuffix(found.text) in ("", tokenizer.bos_token)
    for number, message in enumerate(messages):
        kept = found.text[found.starts[number] : found.ends[number]]
        begin = int(found.skipped[number])
        assert message["content"][begin : begin + len(kept)] == kept
        assert kept.strip() == message["content"].strip() if name == "trimmed" else kept == message["content"]


@given(messages=chats, on=st.sampled_from(["replies", "all"]), name=st.sampled_from(sorted(TOKENIZERS)))
@settings(max_examples=30, deadline=None)
def test_tokens_of_contents_have_their_characters_of_the_transcript(messages, on, name):
    tokenizer = TOKENIZERS[name]
    (encoding,) = encode_conversations(tokenizer, [as_text(messages)], on, ["a"])
    rendered = render(tokenizer, messages, "a").text
    assert encoding.token_ids.tolist() == tokenizer(rendered, add_special_tokens=False)["input_ids"]
    shown = transcript(messages)
    covered = np.zeros(len(shown.text), bool)
    for start, end in zip(encoding.starts, encoding.ends, strict=True):
        covered[start:end] = True
    inside = np.zeros(len(shown.text), bool)
    for start, end in zip(shown.starts, shown.ends, strict=True):
        inside[start:end] = True
    assert not (covered & ~inside).any()
    missed = np.flatnonzero(inside & ~covered)
    assert all(shown.text[place].isspace() for place in missed.tolist())
    replies = [number for number, message in enumerate(messages) if on == "all" or message["role"] == "assistant"]
    spelled = encoding.ends > encoding.starts
    of = np.searchsorted(shown.starts, encoding.starts, side="right") - 1
    assert (encoding.scored[spelled] == np.isin(of[spelled], replies)).all()
    closing = encoding.token_ids == tokenizer.convert_tokens_to_ids("<|im_end|>")
    if "<|im" not in "".join(message["content"] for message in messages):
        assert (encoding.scored[~spelled] <= closing[~spelled]).all()
        assert int((encoding.scored & closing).sum()) == len(replies)


def test_a_reply_and_the_end_of_its_turn_carry_a_loss():
    tokenizer = TOKENIZERS["trimmed"]
    (encoding,) = encode_conversations(tokenizer, [as_text(CHAT)], "replies", ["a"])
    carries = tokenizer.convert_ids_to_tokens(encoding.token_ids[encoding.scored])
    assert carries[-1] == "<|im_end|>"
    assert "".join(carries[:-1]).replace("Ġ", " ").strip() == "You are nice."
    shown = transcript(CHAT).text
    spelled = encoding.ends > encoding.starts
    first, last = (edges[encoding.scored & spelled] for edges in (encoding.starts, encoding.ends))
    assert shown[first[0] : last[-1]].strip() == "You are nice."
    assert shown.endswith("assistant:  You are nice. ")
    assert tokenizer.bos_token_id not in encoding.token_ids


def test_contents_may_stand_in_another_order():
    found = render(chat_tokenizer(SYSTEM_LAST), CHAT, "a")
    assert found.text == "[user] nice (Be nice.)<|im_end|>[assistant]  You are nice. <|im_end|>"
    assert [found.text[a:b] for a, b in zip(found.starts, found.ends, strict=True)] == [m["content"] for m in CHAT]


@pytest.mark.parametrize(
    ("template", "messages", "problem"),
    [
        (THOUGHTLESS, [{"role": "assistant", "content": "<think>hm</think>yes"}], r"content of message 0 \("),
        ("{{ messages[0].content }}", CHAT, "changes the content of message 1"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", CHAT, "changes the content of message 0"),
        ("{% for m in messages %}{{ m.content | upper }};{% endfor %}", CHAT, "changes the content of message 0"),
        ("{{ raise_exception('roles must alternate') }}", CHAT, r"cannot be rendered .*roles must alternate"),
    ],
)
def test_a_template_that_changes_what_was_said_is_refused_by_row(template, messages, problem):
    with pytest.raises(InputError, match=f"document c7: .*{problem}"):
        encode(chat_tokenizer(template), [as_text(messages)], ["c7"], "replies")


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(InputError, match="its tokenizer has no chat template"):
        require_template(tiny_tokenizer(["text"]))
    require_template(TOKENIZERS["chatml"])


def test_a_template_that_tells_the_date_makes_the_same_text_on_any_day():
    dated = "{{ strftime_now('%d %b %Y') }} {{ date_string }}: {% for m in messages %}{{ m.content }}{% endfor %}"
    assert render(chat_tokenizer(dated), CHAT[:1], "a").text == "26 Jul 2024 26 Jul 2024: Be nice."


@given(chats)
def test_messages_are_carried_as_text(messages):
    assert from_text(as_text(messages)) == messages
    other_order = [dict(reversed([*message.items(), ("name", None)])) for message in messages]
    assert as_text(other_order) == as_text(messages)


@pytest.mark.parametrize("wrong", [None, "text", [{"role": "user"}], [{"role": "user", "content": None}], ["text"]])
def test_what_are_no_messages_is_no_text(wrong):
    assert as_text(wrong) is None
