"""What `ifcurate verify` trains and measures on, read from the run and checked before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from ifcurate.annotation.messages import holds_messages
from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.evaluation.held_out_queries import HeldOutQueries, hold_out
from ifcurate.evaluation.retraining import HeldOutTexts, ordinary_texts, query_texts
from ifcurate.evaluation.retraining_rows import Drawn, RowShape, apart, draw
from ifcurate.influence.direction import load_direction
from ifcurate.influence.queries import Query, hash_queries, read_queries
from ifcurate.influence.query_sets import Side
from ifcurate.model.checkpoints import (
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    start_token,
)
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.stored import AS_IS, Stored
from ifcurate.model.windows import encode_documents
from ifcurate.pipelines.adopted_student import scored_model
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.verify_config import VerifyConfig
from ifcurate.training.packing import Delimiters

ALL = sys.maxsize


@dataclass(frozen=True)
class Inputs:
    """Everything that the models of a verification are trained and measured on.

    Attributes:
        behaviour: whose marks.
        model: the checkpoint that every model begins from.
        revision: of it.
        stored: how it is stored.
        tokenizer_hash: of its tokenizer.
        shape: of the rows.
        drawn: the documents.
        held_out: the queries.
        queries: their completions.
        ordinary: text that has nothing to do with the behaviour.
        hashes: of model, documents, queries and ordinary text.
    """

    behaviour: str
    model: str
    revision: str | None
    stored: Stored
    tokenizer_hash: str
    shape: RowShape
    drawn: Drawn
    held_out: HeldOutQueries
    queries: HeldOutTexts
    ordinary: HeldOutTexts
    hashes: dict[str, str]


def read_inputs(config: VerifyConfig) -> Inputs:
    """Draw the documents and hold out queries and text.

    Raises:
        InputError: the run is not finished, or one of them cannot be had.
    """
    run, settings = open_run(config.run)
    behaviour = _behaviour(run, settings, config)
    _require_texts(run, settings)
    model_name, revision = _checkpoint(run, settings, config)
    stored = _stored(run, settings, config)
    tokenizer = load_tokenizer(model_name, revision, config.trust, stored)
    model = load_causal_lm(model_name, revision, trust=config.trust, stored=stored)
    check_vocabulary(tokenizer, model)
    embeddings = embedding_rows(model)
    context = context_length(model, config.context or settings.context)
    delimiters = Delimiters(start_token(tokenizer), tokenizer.eos_token_id)
    shape = RowShape(config.rows, context, 1 if delimiters.end in (None, delimiters.start) else 2)
    corpus = AnnotatedCorpus(str(run.data), [behaviour], tokenizer, settings.text_column, embeddings)
    drawn = draw(corpus, shape, 0 if config.eval_file else config.eval_tokens, config.seed)
    held_out = _hold_out(run, settings.for_behaviour(behaviour), config, _Trained(drawn, tokenizer))
    source = str(run.data)
    if config.eval_file:
        source = config.eval_file
        given = AnnotatedCorpus(source, [], tokenizer, settings.text_column, embeddings)
        drawn = Drawn(drawn.trained, *apart(given.documents(), drawn.trained, ALL))
    ordinary = ordinary_texts(drawn.held_out, delimiters.start, context, source)
    return Inputs(
        behaviour=behaviour,
        model=model_name,
        revision=revision,
        stored=stored,
        tokenizer_hash=hash_tokenizer(tokenizer),
        shape=shape,
        drawn=drawn,
        held_out=held_out,
        queries=query_texts(held_out.queries, tokenizer, context, held_out.source, embeddings),
        ordinary=ordinary,
        hashes={
            "model": hash_model(model),
            "corpus, selection or held-out text": drawn.hash(),
            "queries": hash_queries(held_out.queries),
        },
    )


class _Trained:
    """Says whether a text is a whole document that is trained on."""

    def __init__(self, drawn: Drawn, tokenizer: PreTrainedTokenizerFast) -> None:
        self._documents = {document.token_ids.tobytes() for document in drawn.trained}
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> bool:
        (encoding,) = encode_documents(self._tokenizer, [text.strip()])
        return encoding.token_ids.tobytes() in self._documents


def _behaviour(run: Run, settings: RunConfig, config: VerifyConfig) -> str:
    """Whose marks are verified."""
    if not run.data.is_dir():
        raise InputError(f"{run.root}: has no annotated corpus yet; run `ifcurate write {run.root}` first.")
    known = run.behaviours or [settings.behaviour]
    if config.behaviour is None and len(known) > 1:
        raise InputError(f"option --behaviour: {run.root} has marks of {', '.join(known)}; name one.")
    if config.behaviour is not None and config.behaviour not in known:
        raise InputError(f"option --behaviour: {run.root} has marks of {', '.join(known)} only; name one of them.")
    return config.behaviour or known[0]


def _require_texts(run: Run, settings: RunConfig) -> None:
    if holds_messages(list_shards(str(run.data)), settings.text_column):
        raise InputError(
            f"{run.root}: its documents are messages, and `ifcurate verify` trains on texts; give a run over texts, or "
            "compare an `ifcurate train` of this one with --penalty and one without."
        )


def _checkpoint(run: Run, settings: RunConfig, config: VerifyConfig) -> tuple[str, str | None]:
    if config.model is not None:
        return config.model, config.revision
    if run.combined.is_file():
        raise InputError(f"option --model: {run.root} adds up the scores of several checkpoints; name one.")
    model, revision = scored_model(run, settings)
    return model, config.revision or revision


def _stored(run: Run, settings: RunConfig, config: VerifyConfig) -> Stored:
    """How the checkpoint is stored."""
    if config.model is not None:
        return AS_IS
    if settings.adapter is not None:
        raise InputError(
            f"option --model: {run.root} is of an adapter, and what is trained here are whole models; give a folder in "
            "which the adapter is merged into its model."
        )
    return settings.stored


def _hold_out(run: Run, settings: RunConfig, config: VerifyConfig, is_trained: _Trained) -> HeldOutQueries:
    used = _used_queries(run, settings)
    if config.queries is None and used is None:
        raise InputError(
            f"option --queries: is required, as {run.root} does not say which queries its direction was made of; give "
            "a file of held-out ones."
        )
    sources = [config.queries] if config.queries is not None else settings.query_files
    candidates = [query for source in sources for query in read_queries(source, ALL, config.seed)]
    return hold_out(
        candidates, ", ".join(sources), used, is_trained, config.near_duplicate, config.most_queries, config.seed
    )


def _used_queries(run: Run, settings: RunConfig) -> list[Query] | None:
    """The queries of both sides that the direction was made of; None where the run does not know them.

    Raises:
        InputError: a file of them has changed since.
    """
    if run.combined.is_file() or not settings.has_directions or settings.directions or not settings.query_files:
        return None
    stored = load_direction(run.direction(settings.behaviour)).provenance.get("queries", [])
    used: list[Query] = []
    sides: Sequence[tuple[Side, list[str]]] = (
        ("behaviour", settings.query_files),
        ("contrast", settings.contrast_files),
    )
    for side, files in sides:
        for number, file in enumerate(files):
            queries = read_queries(file, settings.max_queries, settings.seed)
            facts = stored[number].get(side) if number < len(stored) else None
            if facts is not None and facts["hash"] != hash_queries(queries):
                raise InputError(
                    f"{file}: changed since {run.root} was made from it, so nothing says which queries are held out; "
                    "bring it back as it was."
                )
            used += queries
    return used
