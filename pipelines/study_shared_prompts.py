"""Count prompts that are also texts of the corpus, of the queries that tokens were marked with, or of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from ifcurate.artifacts import read_artifact
from ifcurate.config import Config
from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.places import list_place
from ifcurate.errors import InputError
from ifcurate.evaluation.prompts import PromptSet, read_prompts
from ifcurate.files import write_text
from ifcurate.influence.queries import read_queries
from ifcurate.progress import track
from ifcurate.studies.declared import SOURCE
from ifcurate.studies.shared_prompts import SHARED_FILE, CorpusBeginnings, SharedPrompts, near
from ifcurate.working import Folder

ALL = 1 << 62
"""Most queries of a file: all of them."""
_FORMAT = TypeAdapter(list[SharedPrompts])


class SharedPromptsConfig(Config):
    """Which prompts, and what they may be shared with."""

    prompts: dict[str, dict[str, Any]] = Field(min_length=1, description="sets of prompts, as a study names them")
    corpus: str = Field(description="that tokens are marked in")
    text_column: str = Field("text", description="column that holds the documents")
    queries: list[str] = Field([], description="files of queries, of the behaviour and its contrast")
    of_pairs: list[dict[str, Any]] = Field([], description="prompts whose completions are paired, and how to read them")
    out: Folder = Field(description="folder of the counts")


def count_shared(config: SharedPromptsConfig) -> list[SharedPrompts]:
    """Read the whole corpus once, and all queries; the counts are in `config.out` afterwards.

    Raises:
        InputError: something cannot be read.
    """
    sets = [_read(name, settings) for name, settings in config.prompts.items()]
    beginnings = CorpusBeginnings(prompt.text for each in sets for prompt in each.prompts)
    shards = list_place(config.corpus).shards
    with track("shared prompts", len(shards), "documents") as tracker:
        documents = 0
        for done, shard in enumerate(shards, 1):
            for batch in read_documents(shard, config.text_column, bad_rows="skip"):
                documents += len(batch)
                for text in batch.texts:
                    beginnings.read(text)
            tracker.update(done, documents)
    queries = [(query.prompt, query.completion) for file in config.queries for query in read_queries(file, ALL, seed=0)]
    for table in config.of_pairs:
        queries += [(prompt.text, "") for prompt in _read_table(str(table["prompts"]), table).prompts]
    found = [_counted(each, beginnings, queries) for each in sets]
    write_text(Path(config.out) / SHARED_FILE, _FORMAT.dump_json(found, indent=2).decode() + "\n")
    return found


def read_shared(folder: Path) -> list[SharedPrompts]:
    """What `count_shared` left in `folder`.

    Raises:
        InputError: it is damaged.
    """
    file = folder / SHARED_FILE
    if not file.is_file():
        raise InputError(f"{file}: is missing; delete the record of this piece, below {folder.parent.parent}.")
    return read_artifact(list[SharedPrompts], file.read_bytes(), file, "delete it and its record to count again")


def _read(name: str, settings: Mapping[str, Any]) -> PromptSet:
    return _read_table(f"{name}={settings[SOURCE]}", settings)


def _read_table(place: str, settings: Mapping[str, Any]) -> PromptSet:
    split, column = settings.get("split", "train"), settings.get("prompt_column")
    return read_prompts(place, split=split, text_column=column)


def _counted(prompts: PromptSet, beginnings: CorpusBeginnings, queries: list[tuple[str, str]]) -> SharedPrompts:
    texts = [prompt.text for prompt in prompts.prompts]
    in_corpus = sum(beginnings.holds(text) for text in texts)
    return SharedPrompts(prompts.name, len(texts), in_corpus, near(texts, queries))
