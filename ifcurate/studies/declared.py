"""What a study compares: a corpus, judges, and arms: what marks, how it trains, what comes after, how it decodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, field_validator, model_validator

from ifcurate.artifacts import BehaviourName
from ifcurate.config import Config
from ifcurate.corpus.tables import named_place, table_name
from ifcurate.registry import OneOf
from ifcurate.studies.columns import COLUMNS, DEFAULT_COLUMNS, Extra

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.,=%+-]*$", max_length=100)]
"""Of an arm, or of a part of one: it names folders."""
Settings = dict[str, Any]
"""Of a command, under the names of its options."""

PLAIN = "plain"
"""Decoding as the model is."""
ARM_PREFIX = "arm:"
"""Before the name of an arm, in the place of a model: the model that this arm trains, with the first of its seeds."""
ANNOTATION_PREFIX = "annotation:"
"""Before the name of an annotation, in the place of a run that another one reads."""
PREFERENCES = "preferences"
"""Of what comes after a training: the pairs that it learns."""
SOURCE = "source"
"""Of a set of prompts."""


class Judge(Config):
    """A classifier of toxicity: one that is there, or one that the study makes."""

    classifier: str | None = Field(None, description="as for `ifcurate eval --classifier`")
    reward_model: Name | None = Field(None, description="one of the study's reward_models")
    label: str | None = Field(None, description="label that counts, where the classifier's own is another")

    @model_validator(mode="after")
    def _is_one(self) -> Judge:
        if (self.classifier is None) == (self.reward_model is None):
            raise ValueError("give either a classifier or a reward_model")
        return self


class Arm(Config):
    """One row of the table: what marks, how it trains, what comes after, how it decodes; each by its name."""

    annotation: Name | None = Field(None, description="what marks; none where the training reads no marks")
    training: Name | None = Field(None, description="how it trains; none: the base model as it is")
    then: Name | None = Field(None, description="what comes after; none: nothing")
    decoding: Name = Field(PLAIN, description="how prompts are completed")
    seeds: list[int] | None = Field(None, min_length=1, description="of the training; default: the study's")

    @property
    def trains(self) -> bool:
        """Whether it makes a model of its own."""
        return self.training is not None or self.then is not None


class Sweep(Config):
    """An arm once for each of several values of one of its settings."""

    arm: Name = Field(description="the arm that is varied")
    setting: str = Field(
        pattern=r"^(annotation|training|then|decoding)\.\w+$", description="such as training.penalty, annotation.budget"
    )
    values: list[Any] = Field(min_length=1, description="what it takes, one arm each")


class Table(Config):
    """A table: which arms, judged by whom, and which figures of them."""

    arms: list[Name] | None = Field(None, description="default: all, in the order of the study; a sweep's by its name")
    judges: list[Name] | None = Field(None, description="default: all")
    prompts: list[Name] | None = Field(None, description="names of sets of prompts; default: all")
    columns: list[Annotated[str, OneOf(COLUMNS)]] = Field(list(DEFAULT_COLUMNS), description="figures, in this order")


class Study(Config):
    """A study, as its YAML file declares it. Paths are read, and names looked up, by the commands it consists of."""

    title: str | None = Field(None, description="above the tables")
    places: dict[Name, str | None] = Field({}, description="folders that `{NAME}` stands for, anywhere in the file")
    model: str | None = Field(None, description="folder or Hub id of the base model, which is fine-tuned")
    config_name: str | None = Field(None, description="model or config.json that is trained from scratch instead")
    tokenizer: str | None = Field(None, description="folder or Hub id; default: the model's")
    corpus: str = Field(description="as for `ifcurate annotate`")
    text_column: str = Field("text", description="column of the documents in the corpus and the held-out text")
    behaviour: BehaviourName = Field("toxic", description="what is marked and judged")
    queries: str | list[str] | None = Field(None, description="as for `ifcurate annotate`")
    contrast: str | list[str] | None = Field(None, description="as for `ifcurate annotate`")
    queries_chosen_by: list[Name] = Field(
        [], description="judges that chose the queries, and so do not count for arms that they mark"
    )
    held_out: str | None = Field(None, description="text that no arm trains on, for perplexity")
    lambada: str | None = Field(None, description="passages whose last word is predicted")
    prompts: dict[Name, Settings] = Field(
        min_length=1, description="sets of prompts by name: `source`, as for `ifcurate eval`, and settings of its own"
    )
    shared_prompts: Literal["count", "refuse"] = Field(
        "count", description="prompts that are texts of the corpus or of the queries: say how many, or end there"
    )
    judges: dict[Name, Judge] = Field(min_length=1, description="classifiers by name; a list names each by itself")
    annotation: Settings = Field({}, description="settings that all annotations share")
    annotations: dict[Name, Settings] = Field({}, description="settings of `ifcurate annotate` by name")
    training: Settings = Field({}, description="settings that all trainings share")
    trainings: dict[Name, Settings] = Field({}, description="settings of `ifcurate train` by name")
    preferences: dict[Name, Settings] = Field({}, description="settings of `ifcurate preferences` by name")
    afterwards: dict[Name, Settings] = Field(
        {}, description="settings of `ifcurate dpo` with the `preferences` it learns, or of `ifcurate train`, by name"
    )
    reward_models: dict[Name, Settings] = Field({}, description="settings of `ifcurate reward-model` by name")
    evaluation: Settings = Field({}, description="settings of `ifcurate eval` for every arm")
    attack: Settings | None = Field(
        None, description="settings of `ifcurate eval attack`, for the arms of tables that show `attacked`"
    )
    recognition: Settings | None = Field(
        None, description="settings of `ifcurate eval recognition`, for the arms of tables that show `recognition`"
    )
    decodings: dict[Name, Settings] = Field({}, description="settings of `ifcurate eval toxicity` by name")
    arms: dict[Name, Arm] = Field(min_length=1, description="what is compared")
    baseline: Name | None = Field(None, description="the arm that ΔTP compares with")
    sweeps: dict[Name, Sweep] = Field({}, description="arms with a setting varied")
    seeds: list[int] = Field([0], min_length=1, description="of every training")
    tables: dict[Name, Table] = Field(
        default_factory=lambda: {"results": Table.model_validate({})}, min_length=1, description="what is printed"
    )

    @field_validator("judges", mode="before")
    @classmethod
    def _may_be_a_list(cls, value: Any) -> Any:
        """Names of classifiers are judges of these names; in a mapping, a name alone is a classifier's."""
        if isinstance(value, list):
            value = {str(each).replace(":", "-").replace("/", "-"): each for each in value}
        if not isinstance(value, dict):
            return value
        return {name: {"classifier": each} if isinstance(each, str) else each for name, each in value.items()}

    @field_validator("prompts", mode="before")
    @classmethod
    def _may_be_sources(cls, value: Any) -> Any:
        """One source or several have the names of their tables, or NAME=SOURCE."""
        if isinstance(value, str | list):
            places = [named_place(str(each)) for each in ([value] if isinstance(value, str) else value)]
            value = {name or table_name(place): place for name, place in places}
        if not isinstance(value, dict):
            return value
        return {name: {SOURCE: each} if isinstance(each, str) else each for name, each in value.items()}

    @field_validator(
        *("annotations", "trainings", "preferences", "afterwards", "reward_models", "decodings", "arms"), mode="before"
    )
    @classmethod
    def _may_be_empty(cls, value: Any) -> Any:
        """`plain:` with nothing behind it is null in YAML, and means no settings."""
        if not isinstance(value, dict):
            return {} if value is None else value
        return {name: {} if each is None else each for name, each in value.items()}

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Study:
        if (self.model is None) == (self.config_name is None):
            raise ValueError("give either model (fine-tuning) or config_name (from scratch)")
        if any(len(set(seeds)) < len(seeds) for seeds in self._all_seeds()):
            raise ValueError("a seed stands twice in a list of seeds")
        for name, arm in self.arms.items():
            where = f"arms.{name}"
            _find(f"{where}.annotation", arm.annotation, self.annotations, "annotations")
            _find(f"{where}.training", arm.training, self.trainings, "trainings")
            _find(f"{where}.then", arm.then, self.afterwards, "afterwards")
            _find(f"{where}.decoding", arm.decoding, (PLAIN, *self.decodings), "decodings")
            if arm.training is None and self.model is None:
                raise ValueError(f"{where}: trains nothing, and there is no base model; give it a training")
        _find("baseline", self.baseline, self.arms, "arms")
        for name, after in self.afterwards.items():
            _find(f"afterwards.{name}.{PREFERENCES}", after.get(PREFERENCES), self.preferences, PREFERENCES)
        for name, sweep in self.sweeps.items():
            _find(f"sweeps.{name}.arm", sweep.arm, self.arms, "arms")
        for name, judge in self.judges.items():
            _find(f"judges.{name}.reward_model", judge.reward_model, self.reward_models, "reward_models")
        for judge_name in self.queries_chosen_by:
            _find("queries_chosen_by", judge_name, self.judges, "judges")
        for name, table in self.tables.items():
            for arm_name in table.arms or ():
                _find(f"tables.{name}.arms", arm_name, (*self.arms, *self.sweeps), "arms or sweeps")
            for column in table.columns:
                needs = COLUMNS[column].needs
                if needs is not None and getattr(self, needs) is None:
                    raise ValueError(f"tables.{name}.columns: {column} needs settings under {needs!r}; add them")
            for set_name in table.prompts or ():
                _find(f"tables.{name}.prompts", set_name, self.prompts, "prompts")
            for judge_name in table.judges or ():
                _find(f"tables.{name}.judges", judge_name, self.judges, "judges")
        return self

    def columns_of(self, arm: str) -> set[str]:
        """Names of the figures that tables with this arm show."""
        tables = [table for table in self.tables.values() if table.arms is None or arm in table.arms]
        return {column for table in tables for column in table.columns}

    def extras_of(self, arm: str) -> list[Extra]:
        """Evaluations that tables with this arm show, beside completions and fluency; decoding does not enter these."""
        shown = {COLUMNS[column].needs for column in self.columns_of(arm)}
        plain = self.arms[arm].decoding == PLAIN
        return [extra for extra in get_args(Extra) if plain and extra in shown]

    def seeds_of(self, arm: Arm) -> list[int | None]:
        """The seeds of its trainings; one that trains nothing is measured once."""
        return [*(arm.seeds or self.seeds)] if arm.trains else [None]

    def _all_seeds(self) -> list[list[int]]:
        return [self.seeds, *(arm.seeds for arm in self.arms.values() if arm.seeds is not None)]


def _find(where: str, name: str | None, known: Any, section: str) -> None:
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{where}: must be one name")
    if name is not None and name not in known:
        there = ", ".join(known) or "none"
        raise ValueError(f"{where}: there is no {name!r} among the {section} of this study (there are: {there})")
