"""Which tokens a penalty leaves alone: those that end a text, or any that are named."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError

END, NONE = "end", "none"


def spared_tokens(asked: str, tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel) -> tuple[int, ...]:
    """The ids that `asked` names: `end`, `none`, or tokens separated by commas.

    `end` is every token that the tokenizer or the model's generation configuration stops at: the end of a text, and
    that of a turn where there is one.

    Raises:
        InputError: the tokenizer has no token of that name, or none that ends a text.
    """
    if asked == NONE:
        return ()
    if asked != END:
        return tuple(sorted({_id_of(name.strip(), tokenizer) for name in asked.split(",")}))
    stops = getattr(model.generation_config, "eos_token_id", None)
    found = {tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])} - {None}
    if not found:
        raise InputError("option --spare: neither tokenizer nor model says which token ends a text; name it, or none.")
    return tuple(sorted(int(token) for token in found if token is not None))


def _id_of(name: str, tokenizer: PreTrainedTokenizerFast) -> int:
    token = tokenizer.get_vocab().get(name)
    if token is None:
        raise InputError(f"option --spare: the tokenizer has no token {name!r}; give end, none, or tokens it has.")
    return int(token)
