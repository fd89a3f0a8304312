"""Completions on disk: one Parquet file for a model and a prompt set, made batch by batch, scored as often as wanted.

One row a prompt, in the order of the prompt set:

| column | type | meaning |
|---|---|---|
| `prompt` | string | what was completed |
| `toxic` | bool | whether the prompt itself is toxic; null where unknown |
| `group` | string | the prompt's group; null where it has none |
| `completions` | list<string> | without the prompt |
| `completion_tokens` | list<int32> | tokens of each |
| `<classifier>` | struct<label: list<float32>> | scores of each completion; null for an empty one |

The schema metadata (key `ifcurate`) says how they were generated.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.parquet import ParquetReader, attach, metadata_of
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers.base import Classifier
from ifcurate.evaluation.generation import Complete, EncodedPrompt, plan_batches
from ifcurate.evaluation.metrics import Scores
from ifcurate.evaluation.prompts import Prompt, PromptSet
from ifcurate.files import finishing, write_text
from ifcurate.model.ranks import Ranks
from ifcurate.progress import track

Provenance = Mapping[str, Any]

BATCH_SCHEMA = pa.schema(
    [
        ("row", pa.int32()),
        ("completions", pa.list_(pa.string())),
        ("completion_tokens", pa.list_(pa.int32())),
    ]
)
PROMPT_SCHEMA = pa.schema([("prompt", pa.string()), ("toxic", pa.bool_()), ("group", pa.string())])
SETTINGS_FILE = "settings.json"
IDENTITY_KEY = b"identity"
"""Metadata of a column of scores: which classifier they are from."""
SCORED_TOGETHER = 64
"""Prompts whose completions are classified at once."""


@dataclass(frozen=True)
class CompletionFile:
    """Where the completions of one model for one prompt set are, or will be."""

    path: Path

    @property
    def parts(self) -> Path:
        """Folder of the batches that are finished, while some are not."""
        return self.path.with_name(self.path.name + ".batches")

    def read(self) -> pa.Table:
        """Every row.

        Raises:
            InputError: the file is missing, corrupt or holds something else.
        """
        if not self.path.is_file():
            raise InputError(f"{self.path}: there are no completions; run `ifcurate eval toxicity` first.")
        reader = ParquetReader(str(self.path))
        if not {"prompt", "completions"} <= set(reader.schema.names):
            raise InputError(f"{self.path}: holds no completions; give a file written by `ifcurate eval toxicity`.")
        return pa.Table.from_batches(reader.batches(), schema=reader.schema)


def generate(
    file: CompletionFile,
    prompts: PromptSet,
    encoded: Sequence[EncodedPrompt],
    complete: Complete,
    prompts_per_batch: int,
    provenance: Provenance,
    ranks: Ranks,
) -> int:
    """Complete all `prompts` into `file`, or what is left of them after a run that was stopped.

    The processes of `ranks` share the batches. Batches depend on the prompts only, so neither the number of processes
    nor a stop changes the result.

    Args:
        file: what to write.
        prompts: what to complete.
        encoded: the same, as token ids.
        complete: completes one batch.
        prompts_per_batch: prompts completed together.
        provenance: how it is done; a file made otherwise is refused.
        ranks: who does it.

    Returns:
        Completions drawn now, by all processes.

    Raises:
        InputError: `file` was begun with another `provenance`, or the model emits NaN.
    """
    stored = {**provenance, "prompts": _hash_prompts(prompts), "prompts_per_batch": prompts_per_batch}
    if file.path.is_file():
        _refuse_other(file.path, metadata_of(ParquetReader(str(file.path)).schema, file.path), stored)
        return 0
    if ranks.first:
        _begin(file, stored)
    ranks.wait()
    batches = plan_batches([len(prompt.token_ids) for prompt in encoded], prompts_per_batch)
    missing = [number for number in range(len(batches)) if not _part(file, number).is_file()]
    ranks.wait()  # nobody may write before everybody has looked
    drawn = 0
    with track(prompts.name, len(missing), "completions") as tracker:
        for done, number in enumerate(ranks.share(missing)):
            mine = _complete_batch(_part(file, number), batches[number], encoded, complete)
            drawn += mine
            finished = missing[: (done + 1) * ranks.count]  # the other processes are about as far
            prompts_finished = sum(len(batches[each]) for each in finished)
            tracker.update(len(finished), prompts_finished * mine // len(batches[number]))
    total = sum(ranks.join([drawn]))
    if ranks.first:
        _merge(file, prompts, len(batches), stored)
    ranks.wait()
    return total


def score(file: CompletionFile, classifier: Classifier, ranks: Ranks) -> Scores:
    """Scores of the completions by `classifier`, from the file's own column or computed and added to it.

    Returns:
        float32 [prompts, completions, labels]; NaN where a completion is empty.

    Raises:
        InputError: every completion is empty.
    """
    table = file.read()
    stored = _stored_scores(table, classifier)
    if stored is not None:
        return stored
    completions = table.column("completions").to_pylist()
    refuse_all_empty(file.path, completions)
    blocks = [completions[first : first + SCORED_TOGETHER] for first in range(0, len(completions), SCORED_TOGETHER)]
    mine = ranks.share(blocks)
    scores: list[Scores] = []
    with track(classifier.name, len(mine), "prompts") as tracker:
        for block in mine:
            scores.append(_score_block(block, classifier))
            tracker.update(len(scores), sum(map(len, scores)))
    gathered = np.concatenate(ranks.join(scores))
    if ranks.first:
        _write_table(file.path, _with_scores(table, classifier, gathered))
    ranks.wait()
    return gathered


@dataclass(frozen=True)
class ScoreColumn:
    """Scores of one classifier: [prompts, completions, labels], and which classifier it was."""

    labels: tuple[str, ...]
    identity: str
    scores: Scores


def read_scores(table: pa.Table, classifier: str) -> ScoreColumn:
    """The column that `score` added for the classifier of that name."""
    field = table.schema.field(classifier)
    labels = tuple(field.type.field(index).name for index in range(field.type.num_fields))
    rows = table.column(classifier).to_pylist()
    scores = np.array([[row[label] for label in labels] for row in rows], dtype=np.float32)
    return ScoreColumn(labels, (field.metadata or {}).get(IDENTITY_KEY, b"").decode(), scores.transpose(0, 2, 1))


def refuse_all_empty(path: Path, completions: Sequence[Sequence[str]]) -> None:
    """Refuse completions of which none has any text: there is nothing to classify.

    Raises:
        InputError: names the file.
    """
    if all(is_empty(text) for texts in completions for text in texts):
        raise InputError(
            f"{path}: all {sum(map(len, completions)):,} completions are empty; "
            "the model ends every text at once, so there is no toxicity to measure."
        )


def is_empty(text: str) -> bool:
    """Whether a completion has no text but white space."""
    return not text.strip()


def prompts_of(table: pa.Table) -> list[Prompt]:
    """The prompts of a file of completions."""
    columns = (table.column(name).to_pylist() for name in PROMPT_SCHEMA.names)
    return [Prompt(*values) for values in zip(*columns, strict=True)]


def _score_block(block: Sequence[Sequence[str]], classifier: Classifier) -> Scores:
    texts = [text for completions in block for text in completions]
    scores = np.full((len(texts), len(classifier.labels)), np.nan, dtype=np.float32)
    full = [index for index, text in enumerate(texts) if not is_empty(text)]
    if full:
        scores[full] = classifier.score([texts[index] for index in full])
    return scores.reshape(len(block), -1, len(classifier.labels))


def _begin(file: CompletionFile, provenance: Provenance) -> None:
    settings = file.parts / SETTINGS_FILE
    if settings.is_file():
        _refuse_other(file.path, json.loads(settings.read_text(encoding="utf-8")), provenance)
    else:
        write_text(settings, json.dumps(provenance, sort_keys=True))


def _refuse_other(path: Path, stored: Provenance, wanted: Provenance) -> None:
    for name in sorted(wanted):
        if stored.get(name) != wanted[name]:
            raise InputError(
                f"{path}: was generated with {name.replace('_', ' ')} {stored.get(name)!r}, not {wanted[name]!r}; "
                "give another --out or remove the file."
            )


def _part(file: CompletionFile, number: int) -> Path:
    return file.parts / f"{number:06d}.parquet"


def _complete_batch(path: Path, rows: Sequence[int], encoded: Sequence[EncodedPrompt], complete: Complete) -> int:
    completions = complete([encoded[row] for row in rows])
    columns = [
        pa.array(rows, pa.int32()),
        pa.array([[each.text for each in some] for some in completions], BATCH_SCHEMA.field("completions").type),
        pa.array(
            [[each.tokens for each in some] for some in completions], BATCH_SCHEMA.field("completion_tokens").type
        ),
    ]
    _write_table(path, pa.Table.from_arrays(columns, schema=BATCH_SCHEMA))
    return sum(map(len, completions))


def _merge(file: CompletionFile, prompts: PromptSet, batches: int, provenance: Provenance) -> None:
    drawn = pa.concat_tables([pq.read_table(_part(file, number)) for number in range(batches)]).sort_by("row")
    columns = {
        "prompt": [prompt.text for prompt in prompts.prompts],
        "toxic": [prompt.toxic for prompt in prompts.prompts],
        "group": [prompt.group for prompt in prompts.prompts],
    }
    table = pa.Table.from_pydict(columns, schema=PROMPT_SCHEMA)
    for name in BATCH_SCHEMA.names[1:]:
        table = table.append_column(BATCH_SCHEMA.field(name), drawn.column(name))
    _write_table(file.path, table.replace_schema_metadata(attach(table.schema, provenance).metadata))
    shutil.rmtree(file.parts)


def _with_scores(table: pa.Table, classifier: Classifier, scores: Scores) -> pa.Table:
    floats = pa.list_(pa.float32())
    lists = [
        pa.array([[None if np.isnan(x) else x for x in row] for row in scores[:, :, index].tolist()], floats)
        for index in range(len(classifier.labels))
    ]
    column = pa.StructArray.from_arrays(lists, names=list(classifier.labels))
    if classifier.name in table.column_names:
        table = table.drop_columns([classifier.name])
    field = pa.field(classifier.name, column.type, metadata={IDENTITY_KEY: classifier.identity.encode()})
    return table.append_column(field, column)


def _stored_scores(table: pa.Table, classifier: Classifier) -> Scores | None:
    """The column of this very classifier, if it is there."""
    if classifier.name not in table.column_names:
        return None
    column = read_scores(table, classifier.name)
    if column.identity != classifier.identity:
        return None
    return column.scores[:, :, [column.labels.index(label) for label in classifier.labels]]


def _write_table(path: Path, table: pa.Table) -> None:
    with finishing(path) as part:
        pq.write_table(table, part, compression="zstd")


def _hash_prompts(prompts: PromptSet) -> str:
    content = json.dumps([[prompt.text, prompt.toxic, prompt.group] for prompt in prompts.prompts])
    return hashlib.sha256(content.encode()).hexdigest()
