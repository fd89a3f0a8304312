"""Options are the fields of the settings, and nothing else says what they are."""

from __future__ import annotations

from typing import Any

import pytest

from ifcurate.cli import (
    annotate,
    attach,
    combine,
    demo,
    direct,
    directions,
    distil,
    dpo,
    evaluate,
    export,
    fit,
    inspect,
    overlap,
    plan,
    preferences,
    publish,
    queries,
    report,
    reward_model,
    score,
    screen,
    select,
    status,
    study,
    train,
    verify,
    write,
)
from ifcurate.cli.at_urls import folders_in
from ifcurate.cli.commands import COMMANDS, load
from ifcurate.cli.declared import CONFIG, shown_default
from ifcurate.config import ALIASES, Config
from ifcurate.demo.config import DemoConfig
from ifcurate.evaluation.config import (
    CompareConfig,
    EvaluationConfig,
    FluencyConfig,
    ImplicitConfig,
    MiningConfig,
    RecognitionConfig,
    ToxicityConfig,
)
from ifcurate.export.config import ExportConfig
from ifcurate.pipelines.activations_config import ActivationsConfig
from ifcurate.pipelines.attach_config import AttachConfig
from ifcurate.pipelines.attack_config import AttackConfig
from ifcurate.pipelines.combine_config import CombineConfig
from ifcurate.pipelines.distil_config import DistilConfig
from ifcurate.pipelines.dpo_config import DpoConfig
from ifcurate.pipelines.inspect_config import InspectConfig
from ifcurate.pipelines.overlap_config import OverlapConfig
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.preferences_config import PreferencesConfig
from ifcurate.pipelines.publish_config import PublishConfig, PublishDirectionConfig
from ifcurate.pipelines.report_config import ReportConfig
from ifcurate.pipelines.reward_model_config import RewardModelConfig
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.screen_config import ScreenConfig
from ifcurate.pipelines.status_config import StatusConfig
from ifcurate.pipelines.study_config import StudyConfig
from ifcurate.pipelines.verify_config import VerifyConfig
from ifcurate.training.config import TrainConfig

WHOLE: dict[str, tuple[Any, type[Config]]] = {
    "plan": (plan, PlanConfig),
    "annotate": (annotate, RunConfig),
    "status": (status, StatusConfig),
    "report": (report, ReportConfig),
    "inspect": (inspect, InspectConfig),
    "combine": (combine, CombineConfig),
    "overlap": (overlap, OverlapConfig),
    "train": (train, TrainConfig),
    "verify": (verify, VerifyConfig),
    "export": (export, ExportConfig),
    "attach": (attach, AttachConfig),
    "publish": (publish, PublishConfig),
    "directions publish": (directions, PublishDirectionConfig),
    "queries": (queries, MiningConfig),
    "screen": (screen, ScreenConfig),
    "distil": (distil, DistilConfig),
    "reward-model": (reward_model, RewardModelConfig),
    "preferences": (preferences, PreferencesConfig),
    "dpo": (dpo, DpoConfig),
    "study": (study, StudyConfig),
    "demo": (demo, DemoConfig),
    "eval toxicity": (evaluate, ToxicityConfig),
    "eval implicit": (evaluate, ImplicitConfig),
    "eval fluency": (evaluate, FluencyConfig),
    "eval attack": (evaluate, AttackConfig),
    "eval activations": (evaluate, ActivationsConfig),
    "eval recognition": (evaluate, RecognitionConfig),
    "eval all": (evaluate, EvaluationConfig),
    "eval compare": (evaluate, CompareConfig),
}
STAGES = {
    "fit": fit.FIELDS,
    "direct": direct.FIELDS,
    "score": score.FIELDS,
    "select": select.SELECTION_SETTINGS,
    "write": write.FIELDS,
}


def parameters_of(words: str) -> dict[str, Any]:
    name, *inner = words.split()
    command = load(name)
    for word in inner:
        command = command.commands[word]
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize("words", [*WHOLE, *STAGES])
def test_options_are_the_fields_with_their_help_and_default(words: str) -> None:
    kind = WHOLE[words][1] if words in WHOLE else RunConfig
    wanted = set(STAGES.get(words, kind.model_fields))
    found = parameters_of(words)
    assert set(found) - {CONFIG, "run_folder"} == wanted
    for name in wanted:
        field, parameter = kind.model_fields[name], found[name]
        assert parameter.help == field.description, f"{name} has no description" if not field.description else name
        if parameter.param_type_name == "argument":
            continue
        assert f"--{name.replace('_', '-')}" in parameter.opts
        assert (parameter.show_default or None) == shown_default(field)
        extra = field.json_schema_extra or {}
        assert set(extra.get(ALIASES, [])) <= set(parameter.opts)
        assert parameter.rich_help_panel == kind.panel_of(name)


@pytest.mark.parametrize("words", WHOLE)
def test_what_a_command_writes_may_be_a_url(words: str) -> None:
    kind = WHOLE[words][1]
    wanted = kind.model_fields.keys() & {"out", "run", "runs", "folders"}
    if words == "overlap":  # which reads shards where they are, and writes one file
        wanted = set()
    if words == "directions publish":  # of a run, most often
        wanted |= {"direction"}
    assert set(folders_in(kind, {name: name for name in kind.model_fields}, None)) == wanted


def test_every_command_is_looked_at() -> None:
    assert {words.split()[0] for words in [*WHOLE, *STAGES]} == set(COMMANDS)


def test_the_help_shows_the_default(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = " ".join(command("select", "--help").out.split())
    assert "tau is this quantile of all" in shown
    assert "[default: (0.99)]" in shown
    assert "document|window" in shown
    assert "--context,--max-length" in command("annotate", "-h").out


def test_what_is_given_reaches_the_settings(command: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TrainConfig] = []
    monkeypatch.setattr("ifcurate.pipelines.train.train", lambda settings: seen.append(settings) or 1 / 0)
    words = ["--data", "d", "--out", "o", "--model", "m", "--penalty", "toxic=1", "--penalty", "rude=0", "--no-watch"]
    with pytest.raises(ZeroDivisionError):
        command("train", *words, "--max-length", "32", "--learning-rate", "1e-3")
    (settings,) = seen
    assert settings.penalty == ["toxic=1", "rude=0"]
    assert (settings.watch, settings.context, settings.learning_rate) == (False, 32, 1e-3)
    assert settings.model_fields_set == {"data", "out", "model", "penalty", "watch", "context", "learning_rate"}
