"""What a study reads and does not make: looked at before anything runs, so that whatever is missing is named then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.corpus.places import WHOLE, list_place
from ifcurate.corpus.tables import is_local, named_place, read_rows
from ifcurate.errors import InputError, sentence
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.prompts import HUB_IDS
from ifcurate.influence.queries import read_queries
from ifcurate.influence.query_sets import read_query_sets
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.configurations import read_config
from ifcurate.model.stored_hash import WEIGHTS
from ifcurate.model.trust import Trust
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.studies.pieces import Piece

PACKAGES = {"gguf_file": "gguf", "adapter": "peft", "screen": "sklearn"}
"""Settings that need a package of their own."""
PUBLISHED = ("detoxify", "toxigen")
"""Classifiers whose weights come from the network where they are named alone."""
STORED = (*WEIGHTS, "*.gguf", "*.bin", "*.pt")
"""Names of files with weights."""
LOOKED_AT = frozenset(
    {
        "model",
        "tokenizer",
        "config_name",
        "corpus",
        "data",
        "queries",
        "contrast",
        "prompts",
        "text",
        "lambada",
        "source",
        "texts",
    }
)
"""Settings whose places are looked at as what they are."""
ANY_PATH = frozenset("*?[")


@dataclass(frozen=True)
class Input:
    """Something that is read.

    Attributes:
        name: for people.
        look: raises `InputError` or `OSError` where it cannot be had.
        remote: whether looking at it asks the network.
        pieces: keys of the pieces that need it.
        judge: the judge that it is, if it is one.
    """

    name: str
    look: Callable[[], object]
    remote: bool
    pieces: Sequence[str] = ()
    judge: str | None = None


@dataclass(frozen=True)
class Looked:
    """What came of looking.

    Attributes:
        arms: that cannot be made, and why, in sentences.
        judges: that cannot be had, and why.
        unseen: names of what was not looked at, as it is not on this machine.
    """

    arms: dict[str, list[str]] = field(default_factory=dict)
    judges: dict[str, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """All that is missing, each once, with who needs it."""
        reasons: dict[str, list[str]] = {}
        for arm, because in self.arms.items():
            for reason in because:
                reasons.setdefault(reason, []).append(arm)
        said = [f"{_named('arm', arms)}: {reason}" for reason, arms in reasons.items()]
        return said + [f"judge {name}: {reason}" for name, reason in self.judges.items()]


def look(workplace: Workplace, online: bool) -> Looked:
    """Look at whatever the pieces that are not made need; what is made needs nothing.

    Args:
        workplace: the study.
        online: whether the network may be asked.
    """
    found = Looked()
    for each in _inputs(workplace):
        if each.remote and not online:
            found.unseen.append(each.name)
            continue
        try:
            each.look()
        except (InputError, OSError) as error:
            _add(found, each, sentence(error), workplace)
    return found


def _add(found: Looked, each: Input, reason: str, workplace: Workplace) -> None:
    if each.judge is not None:
        found.judges[each.judge] = reason
    for name, made in workplace.layout.judges.items():
        if any(piece.key in each.pieces for piece in [*made.all_needed(), made]):
            found.judges.setdefault(name, reason)
    for piece in workplace.layout.pieces:
        if piece.key in each.pieces:
            for arm in workplace.layout.arms_of(piece):
                found.arms.setdefault(arm, [])
                if reason not in found.arms[arm]:
                    found.arms[arm].append(reason)


def _inputs(workplace: Workplace) -> list[Input]:
    """Everything once, with all pieces that need it."""
    missing = workplace.missing()
    found: dict[str, Input] = {}
    for piece in missing:
        for each in _of(piece, workplace):
            known = found.get(each.name, each)
            found[each.name] = Input(each.name, each.look, each.remote, (*known.pieces, piece.key))
    if any(piece.kind == "completions" for piece in missing):
        for name, judge in workplace.study.judges.items():
            if judge.classifier is not None:
                found[f"judge {name}"] = _judge(name, workplace)
    return list(found.values())


def _of(piece: Piece, workplace: Workplace) -> Iterator[Input]:
    """What one piece reads."""
    config: Any = workplace.settings(piece)
    said = piece.settings
    for role in ("model", "tokenizer", "config_name"):
        if role in said:
            yield _model(role, str(said[role]), workplace.trust)
    for role in ("corpus", "data"):
        if role in said:
            place = str(said[role])
            yield Input(
                f"corpus {place}", partial(list_place, place, getattr(config, "part", WHOLE)), is_data_set_id(place)
            )
    if piece.kind == "annotation":
        yield from _queries(config)
    if piece.kind == "dpo":
        yield Input("package trl", partial(_require, "trl", "dpo"), False)
    if piece.kind == "preferences":
        asked = (config.classifier, config.label, config.trust)
        yield Input(f"classifier {config.classifier}", partial(_load_classifier, *asked), _is_remote(config.classifier))
    if piece.kind == "attack":
        look = partial(read_queries, config.queries, config.sample, config.seed)
        yield Input(f"queries {config.queries}", look, not is_local(config.queries))
    if piece.kind == "recognition":
        place = named_place(config.texts)[1]
        yield Input(f"texts {place}", partial(read_rows, place, config.split), not is_local(place))
    if piece.kind in ("completions", "preferences"):
        (source,) = [said["prompts"]] if isinstance(said["prompts"], str) else said["prompts"]
        place = named_place(source)[1]
        place = HUB_IDS.get(place.lower(), place)
        yield Input(f"prompts {place}", partial(read_rows, place, config.split), not is_local(place))
    for role in ("text", "lambada", "source"):
        if role in said:
            place = str(said[role])
            yield Input(f"table {place}", partial(read_rows, place), not is_local(place))
    for name, value in said.items():
        if name in PACKAGES and value not in (None, "none"):
            yield Input(f"package {PACKAGES[name]}", partial(_require, PACKAGES[name], name), False)
        if name not in LOOKED_AT:
            yield from _paths(name, value)


def _queries(config: RunConfig) -> Iterator[Input]:
    """Both sides together where they make a direction, else the files that another annotator reads."""
    files = [] if config.directions else [*config.query_files, *config.contrast_files]
    if files and not config.marks:
        yield Input(f"queries {', '.join(files)}", partial(read_query_sets, config, config.seed), False)
        return
    for file in files:
        yield Input(f"queries {file}", partial(read_queries, file, config.max_queries, config.seed), False)


def _model(role: str, place: str, trust: Trust) -> Input:
    def look() -> None:
        if role == "config_name":
            if read_config(place, None, trust) is None:
                raise InputError(f"{place}: has no configuration that can be read; give a model or a config.json.")
            return
        load_tokenizer(place, None, trust)
        folder = Path(place)
        if role == "model" and folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in STORED):
            raise InputError(f"{place}: holds no weights of a model; give a folder with a model.")

    return Input(f"{role} {place}", look, not is_local(place))


def _judge(name: str, workplace: Workplace) -> Input:
    classifier, label = workplace.classifier(name)
    look = partial(_load_classifier, classifier, label, workplace.trust)
    return Input(f"judge {name}", look, _is_remote(classifier), judge=name)


def _load_classifier(classifier: str, label: str | None, trust: Trust) -> object:
    return load_classifier(classifier, label, trust=trust)


def _is_remote(classifier: str) -> bool:
    """Whether the network is asked for a classifier of that name."""
    kind, _, which = classifier.partition(":")
    return (kind in PUBLISHED and not (which and Path(which).exists())) or (kind == "hf" and not is_local(which))


def _paths(name: str, value: Any) -> Iterator[Input]:
    """Whatever else names a file or folder on disk."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each.startswith("/") and not ANY_PATH & set(each):
            yield Input(f"{name} {each}", partial(_require_path, name, each), False)


def _require_path(name: str, path: str) -> None:
    if not Path(path).exists():
        raise InputError(f"{name}: {path} does not exist; give another, or make it.")


def _require(package: str, setting: str) -> None:
    if find_spec(package) is None:
        raise InputError(f"{setting}: needs the package {package}, which is not installed; see the extras of ifcurate.")


def _named(what: str, names: Sequence[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"
