"""The runs whose scores an annotator is made of: of the same corpus and tokens, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ifcurate.annotators.base import ScoredRun
from ifcurate.corpus.documents import on_messages
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.selection.scores import SidecarMetadata, hash_sidecars, sidecar_metadata


def scored_runs(config: RunConfig, shards: Sequence[Shard]) -> tuple[ScoredRun, ...]:
    """The runs of `--of`, in their order, and behind them that of `--before`.

    Raises:
        InputError: one is no run, lacks scores of a shard or the behaviour, has scores of a part of its documents, or
            is of other tokens, messages or texts than the first; or the first is of another model than `config`.
    """
    found: list[ScoredRun] = []
    first: list[SidecarMetadata] = []
    given = [("of", root) for root in config.of] + [("before", root) for root in [config.before] if root is not None]
    for option, root in given:
        run, settings = open_run(root)
        if Path(config.out).resolve() == run.root.resolve():
            raise InputError(f"option --{option}: {root} is --out itself; give another --out.")
        if not found and settings.model != config.model:
            raise InputError(
                f"option --of: {root} is of the tokens of {settings.model}, not {config.model}; leave out --model."
            )
        sidecars = _sidecars(run, shards, option)
        said = [sidecar_metadata(path) for _, path in sidecars]
        first = first or said
        _require(config, shards, sidecars, said, first)
        if option == "before" and _unit(said) != _unit(first):
            raise InputError(
                f"option --before: the values of {root} are in another unit than those of {config.of[0]}, and cannot "
                "be taken from them; give runs that are marked in one way."
            )
        scores = hash_sidecars(sidecars)
        found.append(ScoredRun(str(run.root.absolute()), config.behaviour, tuple(sidecars), scores))
    return tuple(found)


def _unit(said: Sequence[SidecarMetadata]) -> object:
    return (said[0].model_extra or {}).get("unit") if said else None


def _sidecars(run: Run, shards: Sequence[Shard], option: str) -> list[tuple[str, Path]]:
    sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
    for name, path in sidecars:
        if not path.is_file():
            raise InputError(
                f"option --{option}: {run.root} has no scores of shard {name!r}; give finished runs of this corpus, "
                "whole."
            )
    return sidecars


def _require(
    config: RunConfig,
    shards: Sequence[Shard],
    sidecars: Sequence[tuple[str, Path]],
    said: Sequence[SidecarMetadata],
    first: Sequence[SidecarMetadata],
) -> None:
    on = on_messages(shards, config.text_column, config.on)
    for (_, path), own, other in zip(sidecars, said, first, strict=True):
        if config.behaviour not in own.directions:
            known = ", ".join(own.directions)
            raise InputError(f"{path}: has no values of {config.behaviour!r}, only of {known}; give --behaviour.")
        if own.screened is not None:
            raise InputError(f"{path}: has scores of a part of its documents, which a screen chose; give others.")
        if own.on != on:
            raise InputError(f"{path}: is of messages on {own.on!r}, not {on!r}; give that run's --on.")
        here, there = ((each.model_extra or {}).get("tokenizer_hash") for each in (own, other))
        if here != there:
            raise InputError(f"{path}: is of other tokens than the first of --of; give runs of one tokenizer.")
        if own.shard is None or other.shard is None or own.shard.texts != other.shard.texts:
            raise InputError(f"{path}: is of other texts than the first of --of; score the shard again in both runs.")
