"""Recipe of `ifcurate publish`: a run as a data set for the Hub, made in a folder and uploaded from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ifcurate.annotation.numbered_files import NumberedFiles
from ifcurate.annotation.published import ANNOTATED, ANNOTATIONS, AnnotatedShards, Annotations
from ifcurate.annotation.schema import ColumnsMetadata, described_columns
from ifcurate.artifacts import read_artifact
from ifcurate.config import read_provenance
from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.files import clear, finishing_folder, remove_parts_of, sha256_of
from ifcurate.hub import upload
from ifcurate.influence.column_names import METHOD
from ifcurate.influence.direction import load_direction, save_direction
from ifcurate.pipelines.adopted_student import scored_model
from ifcurate.pipelines.finished_folder import made_from, record_made
from ifcurate.pipelines.finished_run import FinishedRun
from ifcurate.pipelines.public_names import public_name, without_folders
from ifcurate.pipelines.publish_config import PublishConfig
from ifcurate.progress import log, track
from ifcurate.report.dataset_card import CardFacts, Figure, Part, Table, features_of, write_dataset_card
from ifcurate.report.figures import draw_documents, draw_influence
from ifcurate.selection.scores import LOSS, TOKEN_IDS
from ifcurate.selection.table import records_path
from ifcurate.version import __version__

FOLDERS = {ANNOTATED: "data", ANNOTATIONS: "annotations"}
HOLDS = {
    ANNOTATED: "the corpus, every column as it was, and ours",
    ANNOTATIONS: "ids, text hashes and what is marked, without the texts",
}
"""Configuration -> its folder, and what the card says of it."""
DIRECTIONS, FIGURES = "directions", "figures"
MADE_FILE = ".publish.yaml"
"""What the folder was made from; hidden, and not uploaded."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Publication:
    """The folder of a data set, the rows of each of its configurations, and its address on the Hub if it is there."""

    folder: Path
    rows: dict[str, int]
    address: str | None = None


def publish(config: PublishConfig) -> Publication:
    """Write the data set into its folder, unless it is there; and upload it, unless this is a dry run.

    Raises:
        InputError: the run is not finished, the folder holds something else, or the Hub refuses.
    """
    written = write_dataset(config)
    if config.dry_run:
        return written
    owned = [*FOLDERS.values(), DIRECTIONS, FIGURES]
    return replace(written, address=upload(written.folder, config.repo, "dataset", not config.public, owned))


def write_dataset(config: PublishConfig) -> Publication:
    """The data set of a run in `config.folder`, which appears when it is complete.

    Raises:
        InputError: the run is not finished, a column cannot be published, or the folder holds something else.
    """
    finished, folder = FinishedRun.open(config.run), config.folder
    if config.overwrite:
        clear(folder, MADE_FILE)
    if (made := made_from(folder, MADE_FILE, config, finished.identity(), free=["public"])) is not None:
        log.info(f"{folder}: is written already; --overwrite writes it anew")
        return Publication(folder, made["rows"])
    remove_parts_of(folder)
    with finishing_folder(folder) as part:
        tables = _DataSet(finished, config, part).write()
        rows = {table.name: table.rows for table in tables}
        record_made(part, MADE_FILE, config, {**finished.identity(), "rows": rows})
    return Publication(folder, rows)


class _DataSet:
    """Writes everything that a data set holds into a folder."""

    def __init__(self, finished: FinishedRun, config: PublishConfig, folder: Path) -> None:
        self._finished, self._config, self._folder = finished, config, folder
        settings = finished.settings
        source = AnnotatedShards.open(finished.shards, settings.text_column, settings.id_column)
        model, _ = scored_model(finished.run, settings)
        self._model = config.model_id or public_name(model)
        if config.model_id is None and self._model != model:
            log.warning(f"{self._model} is a folder here: say with --model-id what this model is called on the Hub")
        self._source = source.saying(without_folders(source.said, config.model_id))
        self._annotations = Annotations(self._source, config.token_scores)

    def write(self) -> list[Table]:
        """Tables, directions, figures and card; returns the tables."""
        tables = self._write_tables()
        directions = list(self._write_directions())
        figures = list(self._draw_figures()) if self._config.figures else []
        write_dataset_card(self._facts(tables, directions, figures), self._folder)
        return tables

    def _write_tables(self) -> list[Table]:
        file_bytes = self._config.file_megabytes * MEGABYTE
        schemas = {ANNOTATED: self._source.schema} if self._config.text else {}
        schemas[ANNOTATIONS] = self._annotations.schema
        for schema in schemas.values():
            features_of(schema)
        done, total = 0, sum(selection.documents for selection in self._finished.selections[:1])
        with ExitStack() as stack, track("publish", total, "documents") as tracker:
            files = {
                name: stack.enter_context(
                    NumberedFiles(self._folder / FOLDERS[name], schema, file_bytes, self._source.times_in_utc)
                )
                for name, schema in schemas.items()
            }
            for shard, batch in self._source.rows(None if self._config.text else self._annotations.read):
                if ANNOTATED in files:
                    files[ANNOTATED].write(batch)
                files[ANNOTATIONS].write(self._annotations.of(shard, batch))
                done += batch.num_rows
                tracker.update(done, done)
        return [
            Table(
                name=name,
                folder=FOLDERS[name],
                holds=HOLDS[name],
                schema=schemas[name],
                rows=written.rows,
                bytes=written.bytes,
                stored=sum(file.stat().st_size for file in (self._folder / FOLDERS[name]).iterdir()),
            )
            for name, written in files.items()
        ]

    def _write_directions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name below the data set of each, and what it says of itself."""
        run = self._finished.run
        for behaviour in run.behaviours if self._finished.settings.has_directions else ():
            name = f"{DIRECTIONS}/{behaviour}.safetensors"
            yield name, copy_direction(run.direction(behaviour), self._folder / name, self._config.model_id)

    def _draw_figures(self) -> Iterator[Figure]:
        for selection in self._finished.selections:
            behaviour, folder = selection.behaviour, self._folder
            spread, places = (f"{FIGURES}/{behaviour}_{what}.png" for what in ("influence", "documents"))
            said = self._source.said[behaviour]
            value = "value" if METHOD in said else "influence"
            label = f"{behaviour} {value}, {said['unit']}"
            draw_influence(self._finished.histogram(behaviour), selection.tau, label, folder / spread)
            yield Figure(spread, f"How many tokens have which {behaviour} {value}; marks begin right of tau")
            records = records_path(self._finished.run.selection, behaviour)
            draw_documents(records, behaviour, folder / places)
            yield Figure(places, f"Share of tokens marked for {behaviour}, from the highest ranked documents down")

    def _facts(
        self, tables: list[Table], directions: list[tuple[str, dict[str, Any]]], figures: list[Figure]
    ) -> CardFacts:
        config, settings, said = self._config, self._finished.settings, self._source.said
        names = [selection.behaviour for selection in self._finished.selections]
        corpus = public_name(settings.corpus)
        versions = read_provenance(self._finished.run.file)
        methods = {name: made[METHOD] for name, made in said.items() if METHOD in made}
        kept = (TOKEN_IDS in self._kept, LOSS in self._kept)
        columns = described_columns(self._source.behaviours, *kept, methods=methods)
        remedy = f"run `ifcurate write {config.run}` again"
        first = self._finished.shards[0].path
        parts = [
            Part(selection, read_artifact(ColumnsMetadata, said[selection.behaviour], first, remedy))
            for selection in self._finished.selections
        ]
        provenances = {made["behaviour"]: made for _, made in directions}
        return CardFacts(
            repo=config.repo,
            title=config.title or f"{corpus}, annotated for {', '.join(names)}",
            license=config.license,
            language=config.language,
            sources=config.source or ([corpus.partition("@")[0]] if is_data_set_id(settings.corpus) else []),
            tables=tables,
            parts=parts,
            columns=[column for column in columns if column[0] in self._kept],
            directions=[(name, sha256_of(self._folder / name)) for name, _ in directions],
            figures=figures,
            model=self._model,
            version=__version__,
            settings=without_folders(settings.model_dump(mode="json", exclude={"out"}), config.model_id),
            details={
                "columns": said,
                "directions": provenances,
                "versions": {name: version for name, version in versions.items() if name != "corpus"},
            },
            curvature=any("factors_hash" in made for made in provenances.values()),
            refined=any("refinement" in made for made in provenances.values()),
            lists_everywhere=config.token_scores,
            skipped=max(int(made.metadata.model_dump().get("skipped_rows", 0)) for made in parts),
        )

    @property
    def _kept(self) -> list[str]:
        """Names of the columns that some configuration has."""
        return self._source.schema.names if self._config.text else self._annotations.schema.names


def copy_direction(file: Path, out: Path, model_id: str | None) -> dict[str, Any]:
    """The direction in `file` as `out`, and what it says of itself: the same bytes, unless it names folders of this
    machine."""
    direction = load_direction(file)
    said: dict[str, Any] = without_folders(direction.provenance, model_id)
    out.parent.mkdir(parents=True, exist_ok=True)
    if said == json.loads(json.dumps(dict(direction.provenance))):
        shutil.copyfile(file, out)
    else:
        said["rewritten_from"] = sha256_of(file)
        save_direction(replace(direction, provenance=said), out)
    return said
