"""From a study to its pieces: one annotation serves many arms, and so does whatever else is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ifcurate.corpus.tables import named_place
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig, PromptSettings, ToxicityConfig
from ifcurate.model.settings import TrustSettings
from ifcurate.studies.arm_pieces import ArmPieces, Builder
from ifcurate.studies.declared import SOURCE, Settings, Study
from ifcurate.studies.pieces import Piece

TRUST = frozenset(TrustSettings.model_fields)
"""No file says whom to trust: whoever gives the command does."""
SAID_ELSEWHERE = frozenset({"models", "out", "overwrite", "text", "lambada", "prompts", "classifier", "label"})
"""Settings of an evaluation that other keys of a study say."""
OF_AN_ARM = frozenset({"model", "pairs", "out", "overwrite", "seed"})
"""Settings of what comes after a training that its arm says."""
OF_A_TABLE = ("prompts", "prompt_column", "split")
"""Settings that say which prompts are paired."""
OF_PROMPTS = (PromptSettings.model_fields.keys() - SAID_ELSEWHERE) | {SOURCE}
OF_EVALUATIONS = (ToxicityConfig.model_fields.keys() | FluencyConfig.model_fields.keys()) - SAID_ELSEWHERE


@dataclass(frozen=True)
class Layout:
    """The pieces of a study.

    Attributes:
        arms: for every seed.
        judges: those that the study makes.
        shared_prompts: counts prompts that annotations have seen; None where there is no annotation.
    """

    arms: Mapping[str, Sequence[ArmPieces]]
    judges: Mapping[str, Piece]
    shared_prompts: Piece | None

    @property
    def pieces(self) -> list[Piece]:
        """Every piece once, in an order in which all can be made: seed by seed, so that a stopped study has rows."""
        ordered: dict[str, Piece] = {}
        rounds = max(len(seeds) for seeds in self.arms.values())
        last = [seeds[number] for number in range(rounds) for seeds in self.arms.values() if number < len(seeds)]
        first = [] if self.shared_prompts is None else [self.shared_prompts]
        wanted = [*first, *self.judges.values(), *(piece for arm in last for piece in arm.evaluations)]
        for piece in wanted:
            ordered |= {each.key: ordered.get(each.key, each) for each in [*piece.all_needed(), piece]}
        return list(ordered.values())

    def arms_of(self, piece: Piece) -> list[str]:
        """The arms that need `piece`."""
        return [
            name
            for name, seeds in self.arms.items()
            if any(piece.key in {each.key for each in arm.pieces} for arm in seeds)
        ]


def lay_out(study: Study) -> Layout:
    """The pieces of a study whose sweeps are expanded.

    Raises:
        InputError: an arm reads marks that nothing makes, or does not read those that it asks for.
    """
    _refuse_settings(study)
    builder = Builder(study)
    arms = {name: [builder.arm(name, seed) for seed in study.seeds_of(arm)] for name, arm in study.arms.items()}
    judges = {
        name: builder.reward_model(judge.reward_model)
        for name, judge in study.judges.items()
        if judge.reward_model is not None
    }
    return Layout(arms, judges, _shared_prompts(study, [arm for seeds in arms.values() for arm in seeds]))


def _refuse_settings(study: Study) -> None:
    """Refuse settings that are none of a set of prompts or an evaluation, and those that no file may say."""
    for setting in study.evaluation.keys() - OF_EVALUATIONS:
        raise InputError(f"evaluation.{setting}: is no setting of an evaluation here; remove or rename it.")
    for name, settings in study.prompts.items():
        if SOURCE not in settings:
            raise InputError(f"prompts.{name}: has no {SOURCE}; say where the prompts are.")
        for setting in settings.keys() - OF_PROMPTS:
            raise InputError(f"prompts.{name}.{setting}: is no setting of a set of prompts; remove or rename it.")
    _refuse_said_elsewhere(study)
    evaluated = {named_place(str(settings[SOURCE]))[1] for settings in study.prompts.values()}
    for name, settings in study.preferences.items():
        if named_place(str(settings.get("prompts", "")))[1] in evaluated:
            raise InputError(f"preferences.{name}.prompts: are evaluated on; give prompts that are for training.")
    sections = (study.annotations, study.trainings, study.afterwards, study.preferences, study.reward_models)
    everything = [
        study.annotation,
        study.training,
        study.evaluation,
        study.attack or {},
        study.recognition or {},
        *(each for some in (*sections, study.decodings) for each in some.values()),
    ]
    for setting in sorted(TRUST & {name for settings in everything for name in settings}):
        raise InputError(f"{setting}: no file may say so; give --{setting.replace('_', '-')} with the command.")


def _refuse_said_elsewhere(study: Study) -> None:
    """Refuse settings that the study itself gives to a command."""
    given: list[tuple[str, Settings, frozenset[str]]] = [
        ("attack", study.attack or {}, SAID_ELSEWHERE),
        ("recognition", study.recognition or {}, SAID_ELSEWHERE),
        *((f"preferences.{name}", each, OF_AN_ARM) for name, each in study.preferences.items()),
        *((f"afterwards.{name}", each, OF_AN_ARM) for name, each in study.afterwards.items()),
    ]
    for where, settings, names in given:
        for setting in sorted(settings.keys() & names - {"text", "lambada"}):
            raise InputError(f"{where}.{setting}: other keys of the study say it; remove it.")


def _shared_prompts(study: Study, arms: Sequence[ArmPieces]) -> Piece | None:
    annotations = [each for arm in arms for each in arm.pieces if each.kind == "annotation"]
    files = [
        each for piece in annotations for role in ("queries", "contrast") for each in _list(piece.settings.get(role))
    ]
    pairs = [each for arm in arms for each in arm.pieces if each.kind == "preferences"]
    if not annotations and not pairs:
        return None
    settings: dict[str, Any] = {
        "prompts": study.prompts,
        "corpus": study.corpus,
        "text_column": study.text_column,
        "queries": list(dict.fromkeys(files)),
    }
    if pairs:
        tables = [{name: each.settings[name] for name in OF_A_TABLE if name in each.settings} for each in pairs]
        settings["of_pairs"] = [table for number, table in enumerate(tables) if table not in tables[:number]]
    return Piece("shared_prompts", "all", settings)


def _list(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or [])
