"""`RUN/corpus.json`: where the corpus of a run is and which shards it has, so that a change costs the changed shards.

A shard is told from its earlier self by its size and the stamp of its file; where these differ, or the file system
gives no stamp, by the hash of its texts, which stands in the footer of its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.artifacts import Artifact, read_artifact
from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.corpus.places import WHOLE, Part, list_place
from ifcurate.corpus.shards import Shard, known
from ifcurate.corpus.text_hash import hash_texts
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.progress import log
from ifcurate.selection.scores import sidecar_metadata

if TYPE_CHECKING:
    from ifcurate.pipelines.run import Run

REMEDY = "run `ifcurate annotate` again with the run's settings"


class RecordedShard(Artifact):
    """See `Shard`."""

    name: str
    path: str
    format: str
    size: int
    stamp: str
    limit: int | None = None


class CorpusRecord(Artifact):
    """The absolute place of a corpus, which part of it is meant, and its shards when they were last looked at."""

    place: str
    part: Part = WHOLE
    shards: list[RecordedShard]


def record_corpus(run: Run, source: str, part: Part, shards: Sequence[Shard]) -> None:
    """Write `corpus.json`; `source` may be relative to the working directory."""
    recorded = [
        RecordedShard(**{name: getattr(shard, name) for name in RecordedShard.model_fields}) for shard in shards
    ]
    write_text(
        run.corpus, CorpusRecord(place=absolute(source), part=part, shards=recorded).model_dump_json(indent=1) + "\n"
    )


def read_record(run: Run) -> CorpusRecord:
    """What `record_corpus` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not run.corpus.is_file():
        raise InputError(f"{run.corpus}: is missing; {REMEDY}.")
    return read_artifact(CorpusRecord, run.corpus.read_bytes(), run.corpus, REMEDY)


def recorded_shards(run: Run) -> list[Shard]:
    """The shards of a run as they were last seen, without a look at the corpus."""
    return [Shard(**shard.model_dump()) for shard in read_record(run).shards]


def present_shards(run: Run, moved_to: str | None = None) -> list[Shard]:
    """The shards of a run as they are now, where they were last or where they were `moved_to`.

    Raises:
        InputError: there is no corpus.
    """
    record = read_record(run)
    try:
        return [known(shard) for shard in list_place(moved_to or record.place, record.part).shards]
    except InputError as error:
        if moved_to:
            raise
        raise InputError(
            f"{str(error).rstrip('.')}; or say with --corpus where the corpus of {run.root} is."
        ) from error


def unseen_shards(run: Run, shards: Sequence[Shard]) -> list[Shard]:
    """Those that were not in the corpus, or not as they are, when it was last looked at."""
    if not run.corpus.is_file():
        return list(shards)
    seen = {(shard.name, shard.size, shard.stamp, shard.limit) for shard in recorded_shards(run)}
    return [
        shard for shard in shards if not shard.stamp or (shard.name, shard.size, shard.stamp, shard.limit) not in seen
    ]


def require_same_shards(run: Run, shards: Sequence[Shard]) -> None:
    """Refuse a corpus that has other shards than those of the run.

    Raises:
        InputError: names the first that is missing or new.
    """
    recorded, present = ({shard.name for shard in group} for group in (recorded_shards(run), shards))
    for name in sorted(recorded ^ present):
        problem = "is missing" if name in recorded else "is new"
        raise InputError(
            f"shard {name!r} of the corpus {problem} since {run.root} was scored; restore it, say with --corpus where "
            f"the corpus is, or run `ifcurate score {run.root}` and `ifcurate select {run.root}` first."
        )


def reconcile(run: Run, config: RunConfig, source: str, shards: Sequence[Shard]) -> None:
    """Delete the scores and annotations of shards that are gone or have other texts now, and record those there are.

    Curvature and direction stay, with the sample that they were made from.

    Raises:
        InputError: nothing is left of the corpus that the run was made from, or a score file is damaged.
    """
    if not run.corpus.is_file():  # killed before it was written: the texts tell
        record_corpus(run, source, config.part, [replace(shard, stamp="") for shard in shards])
    record = read_record(run)
    before = {shard.name: Shard(**shard.model_dump()) for shard in record.shards}
    present = {shard.name for shard in shards}
    gone = [shard for shard in before.values() if shard.name not in present]
    changed = [shard for shard in shards if shard.name in before and _is_changed(run, config, shard, before)]
    added = len(present - before.keys())
    if len(gone) == len(before) or (len(gone + changed) == len(before) and record.place != absolute(source)):
        raise InputError(
            f"option CORPUS: {run.root} was made from {len(before):,} shards of {record.place}, and {source} has none "
            "of them as it was; give another --out."
        )
    for shard in gone + changed:
        for file in (*shard.all_annotated(run.data), shard.output(run.scores), shard.output(run.screened)):
            file.unlink(missing_ok=True)
    if gone or changed or added:
        log.info(
            f"corpus: {len(changed):,} shards changed, {added:,} added and {len(gone):,} removed since {run.root} was "
            "made; new and changed ones are scored, selection and annotation are redone, and curvature and direction "
            "stay, from the sample of before"
        )
    record_corpus(run, source, config.part, shards)


def distrust(run: Run) -> None:
    """Have the texts of every shard looked at the next time: one has changed under its old size and stamp."""
    record = read_record(run)
    doubted = [shard.model_copy(update={"stamp": ""}) for shard in record.shards]
    write_text(run.corpus, record.model_copy(update={"shards": doubted}).model_dump_json(indent=1) + "\n")


def relocate(run: Run, source: str) -> None:
    """Remember that the corpus is at `source` now."""
    moved = read_record(run).model_copy(update={"place": absolute(source)})
    write_text(run.corpus, moved.model_dump_json(indent=1) + "\n")


def absolute(source: str) -> str:
    """A local path as seen from anywhere; URLs and ids of data sets are that already."""
    lasting = "://" in source or "::" in source or is_data_set_id(source)
    return source if lasting else str(Path(source).absolute())


def _is_changed(run: Run, config: RunConfig, shard: Shard, before: dict[str, Shard]) -> bool:
    """Whether the texts of a shard are others than its scores are of; without scores, whether its file is another."""
    known, sidecar = before[shard.name], shard.output(run.scores)
    if shard.stamp and (shard.size, shard.stamp, shard.limit) == (known.size, known.stamp, known.limit):
        return False
    if not sidecar.is_file():
        return (shard.size, shard.limit) != (known.size, known.limit)
    scored = sidecar_metadata(sidecar).shard
    return scored is None or scored.texts != hash_texts(shard, config.text_column)
