"""What a plan is of: settings, and what is found out about the corpus and the model that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ifcurate.corpus.places import list_place
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.influence.engines.choice import choose_dtype, choose_engine
from ifcurate.influence.refinement import NONE
from ifcurate.influence.sample import Sample, sample_windows
from ifcurate.model.devices import resolve_device
from ifcurate.pipelines.direct import published_directions
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.planned_model import PlannedModel, planned_model
from ifcurate.planning.disk import Asked
from ifcurate.planning.gpus import GPUS, Gpu
from ifcurate.planning.tokens import CorpusSample, sample_corpus

COMPILED = "compiled-jvp"


@dataclass(frozen=True)
class Planned:
    """Settings, corpus and model, how the corpus is to be scored, and the GPU that is planned for, if not at hand."""

    config: PlanConfig
    shards: list[Shard]
    model: PlannedModel
    sample: CorpusSample
    device: str
    engine: str
    dtype: str
    behaviours: list[str]
    gpu: Gpu | None

    @property
    def fits(self) -> bool:
        """Whether there is a fit; published directions need none."""
        return not self.config.directions

    def fit_sample(self) -> Sample:
        """The windows that the curvature would be fitted on."""
        config, model = self.config, self.model
        return sample_windows(
            self.shards,
            config.text_column,
            config.id_column,
            model.tokenizer,
            model.context,
            config.fit_tokens,
            config.seed,
            model.embeddings,
            config.bad_rows,
            config.overlap,
            self.sample.on,
        )

    def stored(self) -> Asked:
        """What would be stored of each token."""
        config, shard = self.config, self.shards[0]
        suffix = shard.annotated(Path(), config.output_format).name.removeprefix(Path(shard.name).name)
        return Asked(self.behaviours, config.precision, config.with_loss, config.token_ids, suffix)


def planned(config: PlanConfig) -> Planned:
    """Look at the model's configuration, and at a sample of the corpus.

    Raises:
        InputError: something given cannot be used, or is not planned.
    """
    _refuse_unplanned(config)
    published = published_directions(config)
    behaviours = list(published) or [config.behaviour]
    gpu = None if config.gpu is None else GPUS[config.gpu]
    device = resolve_device(config.device) if gpu is None else "cuda"
    dtype = choose_dtype(config.dtype, config.engine, config.alignment, device)
    engine = _engine(config, dtype, device, len(behaviours))
    model = planned_model(config)
    shards = list_place(config.corpus, config.part).shards
    sample = sample_corpus(
        *(shards, model.tokenizer, config.text_column, config.id_column, config.bad_rows, config.on, config.seed)
    )
    name = str(dtype).removeprefix("torch.")
    return Planned(config, shards, model, sample, device, engine, name, behaviours, gpu)


def _engine(config: PlanConfig, dtype: torch.dtype, device: str, directions: int) -> str:
    """The engine of a run there; whether this machine could compile it is no matter for a GPU elsewhere."""
    if config.gpu is not None and config.engine == COMPILED:
        return COMPILED
    return choose_engine(config.engine, config.alignment, dtype, [device], directions)


def _refuse_unplanned(config: PlanConfig) -> None:
    for option, given in (
        ("--by", config.by is not None),
        ("--student", config.student is not None),
        ("--refine", config.refine != NONE),
        ("--fit-with", config.fit_with != "ifcurate"),
        ("--device-map", config.device_map is not None),
    ):
        if given:
            raise InputError(f"option {option}: is not planned; leave it out, and plan what is left.")
