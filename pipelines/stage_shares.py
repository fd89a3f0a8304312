"""The stages of a run, each for one task of many that see nothing of each other but the run folder."""

from __future__ import annotations

from collections.abc import Callable

from ifcurate.errors import InputError
from ifcurate.pipelines.corpus_record import present_shards, recorded_shards
from ifcurate.pipelines.run import open_run

Share = Callable[[str, int, int], None]
"""Run folder, number of the task, and of all tasks."""


def _fit(folder: str, rank: int, world_size: int) -> None:
    from ifcurate.pipelines.fit import fit

    run, config = open_run(folder)
    fit(run, config, present_shards(run))


def _direct(folder: str, rank: int, world_size: int) -> None:
    """Also finds the engine, for which it has the model and the device of those that score, and screens the texts."""
    from ifcurate.pipelines.direct import direct
    from ifcurate.pipelines.marking import adopt_annotator
    from ifcurate.pipelines.score import find_engine
    from ifcurate.pipelines.screening import screen_shards

    run, config = open_run(folder)
    shards = present_shards(run)
    if not config.marks:
        direct(run, config)
    else:
        adopt_annotator(run, config, shards, workers=1)
    find_engine(run, config, shards)
    screen_shards(run, config, shards, workers=1)


def _score(folder: str, rank: int, world_size: int) -> None:
    from ifcurate.pipelines.score import score_share

    run, config = open_run(folder)
    score_share(run, config, present_shards(run), rank, world_size)


def _select(folder: str, rank: int, world_size: int) -> None:
    """Also clears what `write` replaces, which no task of it may do while others write."""
    from ifcurate.files import remove
    from ifcurate.pipelines.select import select
    from ifcurate.pipelines.write import prepare_writing

    run, config = open_run(folder)
    shards = recorded_shards(run)
    for shard in shards:
        if not shard.output(run.scores).is_file():
            raise InputError(f"{shard.output(run.scores)}: is missing, its task failed; run `ifcurate annotate` again.")
    remove(run.unfinished)
    for behaviour in run.behaviours:
        select(run, config.for_behaviour(behaviour), shards)
    prepare_writing(run, config, present_shards(run))


def _write(folder: str, rank: int, world_size: int) -> None:
    from ifcurate.pipelines.write import write_share

    run, config = open_run(folder)
    write_share(run, config, present_shards(run), rank, world_size)


def _finish(folder: str, rank: int, world_size: int) -> None:
    from ifcurate.pipelines.write import finish_writing

    run, config = open_run(folder)
    finish_writing(run, config, present_shards(run))


SHARES: dict[str, Share] = {
    "fit": _fit,
    "direct": _direct,
    "score": _score,
    "select": _select,
    "write": _write,
    "finish": _finish,
}
"""In their order; `finish` counts what was written, and writes the report."""
