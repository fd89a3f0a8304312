"""What comes before scoring where a screen is given: every text is screened, and the threshold is found, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ifcurate.artifacts import Artifact, Sha256, read_artifact
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.read_shards import ReadShards
from ifcurate.pipelines.steps.screen_texts import CHARACTERS, ScreenTexts
from ifcurate.progress import log
from ifcurate.screening.curve import recall_at, share_for
from ifcurate.screening.kinds import SCREEN_FILE
from ifcurate.screening.screen import Screen, hash_screen, load_screen
from ifcurate.screening.settings import percentage
from ifcurate.screening.threshold import find_threshold
from ifcurate.selection.screened import SCREEN, ScreenedFacts
from ifcurate.storage.fetched import at_hand


class FoundThreshold(Artifact):
    """`screened/threshold.json`: found once, when scoring begins; shards that are added later are held to it."""

    screen: Sha256
    threshold: float
    share: float


def screen_file(place: str) -> Path:
    """The file of the screen at `place`, a folder that `ifcurate screen` made or a file, on disk or at a URL."""
    path = Path(at_hand(place))
    return path / SCREEN_FILE if path.is_dir() else path


def screen_shards(run: Run, config: RunConfig, shards: Sequence[Shard], workers: int) -> ScreenedFacts | None:
    """Screen the shards that are not yet, and say which documents are scored; None without a screen.

    Raises:
        InputError: the screen cannot be used, or is another than the run began with.
    """
    if config.screen is None:
        return None
    file = screen_file(config.screen)
    screen, hashed = load_screen(file), hash_screen(file)
    _require_behaviour(run, screen)
    found_before = _found(run)
    if found_before is not None and found_before.screen != hashed:
        raise InputError(
            f"option --screen: {file} is another screen than {run.root} began with; give that, or another --out."
        )
    pending = [shard for shard in shards if not shard.output(run.screened).is_file()]
    if pending:
        reader = ReadShards(pending, config.text_column, config.id_column, config.bad_rows)
        step = ScreenTexts(reader, file, run.screened, config.seed)
        with timed(run.logs, "screen"):
            run_tasks([step], len(pending), workers, config.threads, run.logs / "screen", run.screened)
    found = found_before or _find(run, config, shards, screen, hashed)
    return ScreenedFacts(
        screen=hashed, threshold=found.threshold, share=found.share, audit=config.audit_share, seed=config.seed
    )


def _require_behaviour(run: Run, screen: Screen) -> None:
    learnt = screen.provenance["behaviour"]
    if run.behaviours != [learnt]:
        raise InputError(
            f"option --screen: has learnt {learnt!r}, and {run.root} has directions for {', '.join(run.behaviours)}; "
            "give a screen of the one behaviour that is scored."
        )


def _find(run: Run, config: RunConfig, shards: Sequence[Shard], screen: Screen, hashed: str) -> FoundThreshold:
    share = percentage(config.share) if config.share else share_for(screen.curve, float(config.recall or 0))

    def documents() -> Iterator[tuple[Any, Any]]:
        for shard in shards:
            for batch in ParquetReader(str(shard.output(run.screened))).batches([SCREEN, CHARACTERS]):
                yield batch[SCREEN].to_numpy(), batch[CHARACTERS].to_numpy()

    threshold = find_threshold(documents, share)
    log.info(
        f"screen: {threshold.share:.1%} of the text is scored, and {config.audit} of the other documents as an audit; "
        f"of what was selected where it was learnt, the screen found {recall_at(screen.curve, threshold.share):.1%} in "
        "such a share"
    )
    found = FoundThreshold(screen=hashed, threshold=threshold.value, share=threshold.share)
    write_text(_file(run), found.model_dump_json(indent=2) + "\n")
    return found


def _found(run: Run) -> FoundThreshold | None:
    file = _file(run)
    if not file.is_file():
        return None
    return read_artifact(FoundThreshold, file.read_bytes(), file, f"delete {run.screened} and {run.scores}, and score")


def _file(run: Run) -> Path:
    return run.screened / "threshold.json"
