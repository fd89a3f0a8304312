"""Recipe of `ifcurate inspect`: which texts are shown, with the influence of their tokens."""

from __future__ import annotations

import sys
from pathlib import Path

from ifcurate.errors import InputError, first_line
from ifcurate.influence.direction import find_direction, load_direction
from ifcurate.influence.loading import load_scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.machine import cores
from ifcurate.model.stored import Stored
from ifcurate.pipelines.inspect_config import TOP, DocumentChoice, InspectConfig, TextToScore
from ifcurate.pipelines.inspected_run import InspectedRun
from ifcurate.report.lookup import Place
from ifcurate.report.scored_text import Inspection, ScoredText
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.spans import Ranges

STANDARD_INPUT = "-"


def inspect(config: InspectConfig) -> Inspection:
    """The texts that `config` asks for.

    Raises:
        InputError: options do not go together, there is no such document, or something it needs is missing.
    """
    _require_one_question(config)
    if config.direction is not None:
        return _score_text(config, find_direction(config.direction))
    run = InspectedRun.open(str(config.run), config.behaviour, config.corpus)
    places, note = _places(run, config)
    texts = [run.read(place) for place in places]
    return Inspection(run.behaviour, texts, None if run.selection is None else run.selection.tau, note)


def _require_one_question(config: InspectConfig) -> None:
    if (config.run is None) == (config.direction is None):
        raise InputError("give a RUN whose documents are shown, or --direction with --text or --file, one of the two.")
    others = DocumentChoice if config.run is None else TextToScore
    for name in others.model_fields:
        if name in config.model_fields_set:
            instead = "a RUN" if config.run is None else "--direction"
            raise InputError(
                f"option --{name.replace('_', '-')}: goes with {instead}; leave it out, or give {instead}."
            )
    if config.direction is not None and (config.text is None) == (config.file is None):
        raise InputError("option --direction: needs a text to score; give --text or --file, one of the two.")
    asked = [name for name in ("document", "row", "grep") if getattr(config, name) is not None]
    if config.top is not None and asked not in ([], ["grep"]):
        asked.append("top")
    if len(asked) > 1:
        raise InputError(f"options {', '.join(f'--{name}' for name in asked)}: ask for different documents; give one.")


def _places(run: InspectedRun, config: InspectConfig) -> tuple[list[Place], str | None]:
    """The documents asked for, and what is to be said of them."""
    if config.row is not None:
        return [run.place_of_row(config.row)], None
    if config.document is not None:
        return [run.place_of_id(config.document)], None
    most = config.top or TOP
    if config.grep is None:
        return run.highest(most), None
    places, count = run.containing(config.grep, most)
    order = "in the order of the corpus" if run.selection is None else "from the highest rank down"
    return places, f"documents that contain {config.grep!r}: {count:,}; shown: {len(places):,}, {order}"


def _score_text(config: InspectConfig, file: Path) -> Inspection:
    """`config.text`, or that of `config.file`, scored with the direction in `file`."""
    text = _given_text(config)
    direction = load_direction(file)
    model = config.model or direction.provenance.get("model")
    if model is None:
        raise InputError(f"{file}: does not say where its model is; give --model.")
    try:
        scorer = load_scorer(_score_settings(config, file, model, direction.stored))
    except InputError as error:
        if config.model is not None:
            raise
        raise InputError(f"{str(error).rstrip('.')}; {file} names this model, --model says where it is now.") from error
    (encoding,) = scorer.encode([text])
    if len(encoding) == 0:
        raise InputError("the text to score holds no token; give one that is not empty.")
    [scores], _ = scorer.score([encoding], ["to score"])
    tokens = Ranges.of_document(encoding.starts, encoding.ends)
    influence = scores.influence[0]
    heading = (
        f"{direction.behaviour} influence",
        f"{len(influence):,} tokens",
        f"from {influence.min():.4g} to {influence.max():.4g}",
        f"mean {influence.mean():.4g}",
    )
    return Inspection(direction.behaviour, [ScoredText(heading, text, ScoredTokens(tokens, influence))])


def _score_settings(config: InspectConfig, direction: Path, model: str, stored: Stored) -> ScoreSettings:
    """Forward mode: exact, and without finite-difference steps, whose calibration costs more than a text."""
    return ScoreSettings(
        model=model,
        directions=(str(direction),),
        revision=config.revision,
        context=config.context,
        overlap=config.overlap,
        engine="jvp",
        device=config.device,
        threads=cores(),
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        stored=stored,
    )


def _given_text(config: InspectConfig) -> str:
    """The text to score.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    if config.text is not None:
        where, content = "option --text", config.text.encode("utf-8", "surrogateescape")
    elif config.file == STANDARD_INPUT:
        where, content = "standard input", sys.stdin.buffer.read()
    else:
        where = str(config.file)
        try:
            content = Path(where).read_bytes()
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({first_line(error)}); give --file a text file.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start}); convert it first.") from error
