"""What is known of one evaluated model, in one JSON file that every evaluation adds to.

OUT/<model>/evaluation.json    figures with their intervals
OUT/<model>/<prompts>.parquet  completions and their scores (see `ifcurate.evaluation.completions`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ifcurate.corpus.tables import named_place, table_name
from ifcurate.errors import InputError
from ifcurate.evaluation.attacks import AttackResult
from ifcurate.evaluation.completions import CompletionFile
from ifcurate.evaluation.fluency import Lambada, Perplexity
from ifcurate.evaluation.metrics import ALL, Measurement, Toxicity
from ifcurate.evaluation.packed import PackedPerplexity
from ifcurate.evaluation.recognition import Recognition
from ifcurate.files import write_text

EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True)
class Speed:
    """Work done and wall-clock seconds it took."""

    items: int
    seconds: float

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Generation:
    """How the completions of a prompt set came about, by the run that drew the last of them.

    Attributes:
        speed: completions it drew.
        prompts_cut: prompts that lost their beginning to fit the model's context.
    """

    speed: Speed
    prompts_cut: int


@dataclass(frozen=True)
class ToxicityResult:
    """Toxicity on one prompt set by one classifier.

    Attributes:
        prompts: name of the prompt set.
        classifier: name of the classifier.
        label: the label that counts.
        completions: of each prompt.
        min_new_tokens: first tokens of a completion that could not be its end.
        toxicity: what was measured.
    """

    prompts: str
    classifier: str
    label: str
    completions: int
    min_new_tokens: int
    toxicity: Toxicity

    @property
    def headline(self) -> Measurement:
        """The label that counts, on all prompts."""
        return next(m for m in self.toxicity.measurements if m.subset == ALL and m.label == self.label)


@dataclass(frozen=True)
class Evaluation:
    """All results of one model.

    Attributes:
        model: its name here.
        place: folder or Hub id it was last read from.
        model_hash: which model it is, see `hash_stored`.
        generations: by name of the prompt set.
        toxicity: one entry a prompt set, classifier and label.
        perplexity: of held-out text.
        packed: of the same, joined.
        lambada: accuracy on passages.
        read_on: hashes of the texts that perplexity and LAMBADA were measured on, and of how.
        attacks: what suffixes lead it to.
        recognition: by name of the labelled texts.
        tasks: metrics of lm-evaluation-harness by task.
        skipped: what the last evaluation of everything left out, and why.
    """

    model: str
    place: str
    model_hash: str
    generations: dict[str, Generation] = field(default_factory=dict)
    toxicity: tuple[ToxicityResult, ...] = ()
    perplexity: Perplexity | None = None
    packed: PackedPerplexity | None = None
    lambada: Lambada | None = None
    read_on: dict[str, str] = field(default_factory=dict)
    attacks: AttackResult | None = None
    recognition: dict[str, Recognition] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def with_toxicity(self, result: ToxicityResult) -> Evaluation:
        """The same with `result` in place of one on the same prompts by the same classifier and label."""
        name = (result.prompts, result.classifier, result.label)
        others = [old for old in self.toxicity if (old.prompts, old.classifier, old.label) != name]
        return replace(self, toxicity=(*others, result))


_FORMAT = TypeAdapter(Evaluation)


@dataclass(frozen=True)
class ModelFolder:
    """Where the results of one model are."""

    path: Path

    @property
    def name(self) -> str:
        """The model's name."""
        return self.path.name

    def completions(self, prompts: str) -> CompletionFile:
        """Completions of one prompt set."""
        return CompletionFile(self.path / f"{prompts}.parquet")

    def all_completions(self) -> list[str]:
        """Names of the prompt sets that were completed.

        Raises:
            InputError: there are none.
        """
        names = sorted(file.stem for file in self.path.glob("*.parquet"))
        if not names:
            raise InputError(f"{self.path}: holds no completions; run `ifcurate eval toxicity` first.")
        return names

    def read(self) -> Evaluation:
        """The stored results.

        Raises:
            InputError: there are none, or the file is something else.
        """
        file = self.path / EVALUATION_FILE
        try:
            return _FORMAT.validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{file}: holds no results of an evaluation; give a folder made by `ifcurate eval`."
            ) from error

    def read_or_begin(self, place: str, model_hash: str) -> Evaluation:
        """The stored results of the model at `place`, or an empty record of it.

        Raises:
            InputError: the results are another model's, or the model has changed since.
        """
        if not (self.path / EVALUATION_FILE).is_file():
            return Evaluation(self.name, place, model_hash)
        stored = self.read()
        if stored.model_hash != model_hash:
            other = "what it was before" if stored.place == place else f"another model, {stored.place}"
            raise InputError(
                f"{self.path}: holds results of {other}, not of {place}; give another --out, or name it NAME=MODEL."
            )
        return replace(stored, place=place)

    def write(self, evaluation: Evaluation) -> None:
        """Store `evaluation`, whole or not at all."""
        write_text(self.path / EVALUATION_FILE, _FORMAT.dump_json(evaluation, indent=2).decode() + "\n")


def model_folders(models: Sequence[str], out: str) -> list[tuple[ModelFolder, str]]:
    """A folder below `out` and a place (folder or Hub id) for each of `models`, given as MODEL or NAME=MODEL.

    Raises:
        InputError: two models have the same name.
    """
    named: dict[str, str] = {}
    for model in models:
        name, place = named_place(model)
        name = name or table_name(str(Path(place).resolve()) if Path(place).exists() else place)
        if name in named:
            raise InputError(f"{named[name]} and {place} are both called {name!r}; name one with NAME=MODEL.")
        named[name] = place
    return [(ModelFolder(Path(out) / name), place) for name, place in named.items()]
