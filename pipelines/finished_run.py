"""A run whose annotated corpus is complete and of its present selection: what is shown to others."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ifcurate.annotation.provenance import provenance_of
from ifcurate.corpus.shards import Shard, corpus_fingerprint, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.pipelines.corpus_record import recorded_shards
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import selection_origin
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.table import Selection


@dataclass(frozen=True)
class FinishedRun:
    """A run, its settings, its annotated shards, and a selection for each behaviour."""

    run: Run
    settings: RunConfig
    shards: list[Shard]
    selections: list[Selection]

    @classmethod
    def open(cls, root: str) -> FinishedRun:
        """The run at `root`.

        Raises:
            InputError: it is no run, or its annotated corpus is missing, incomplete or of another selection.
        """
        run, settings = open_run(root)
        remedy = f"run `ifcurate write {root}` first"
        recorded = recorded_shards(run)
        if not run.data.is_dir():
            raise InputError(f"{root}: has no annotated corpus yet; {remedy}.")
        shards = list_shards(str(run.data))
        missing = {shard.name for shard in recorded} - {shard.name for shard in shards}
        if missing or len(shards) != len(recorded):
            raise InputError(
                f"{run.data}: holds {len(shards):,} of {len(recorded):,} shards"
                f"{f', not {min(missing)!r}' if missing else ''}; {remedy}."
            )
        said = provenance_of(shards[0], open_shard(shards[0]).readable)
        behaviours = run.behaviours or [settings.behaviour]
        for behaviour in behaviours:
            origin = sha256(selection_origin(run, settings.for_behaviour(behaviour), recorded).encode()).hexdigest()
            if (said.get(behaviour) or {}).get("selection_hash") != origin:
                raise InputError(f"{run.data}: is not of the present selection of {behaviour!r}; {remedy}.")
        return cls(run, settings, shards, [Selection.load(run.selection, behaviour) for behaviour in behaviours])

    def identity(self) -> dict[str, Any]:
        """What tells its annotated corpus from another."""
        said = provenance_of(self.shards[0], open_shard(self.shards[0]).readable)
        return {
            "corpus": corpus_fingerprint(self.shards),
            "selections": {one.behaviour: said[one.behaviour]["selection_hash"] for one in self.selections},
        }

    def histogram(self, behaviour: str) -> Histogram:
        """Counts of the influence of every token."""
        counted = Histogram()
        for shard in recorded_shards(self.run):
            counted.merge(Sidecar(shard.name, shard.output(self.run.scores), behaviour).histogram())
        return counted
