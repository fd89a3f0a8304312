"""A text of the user's own as `ifcurate inspect` shows it: scored with a direction, for which the model is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

from ifcurate.errors import InputError, first_line
from ifcurate.influence.direction import coverage_of, find_direction, load_direction
from ifcurate.influence.loading import load_scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.machine import cores
from ifcurate.model.layers import coverage, say_coverage
from ifcurate.model.stored import Stored
from ifcurate.pipelines.inspect_config import InspectConfig
from ifcurate.report.scored_text import Inspection, ScoredText
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.spans import Ranges

STANDARD_INPUT = "-"


def score_text(config: InspectConfig, place: str) -> Inspection:
    """`config.text`, or that of `config.file`, scored with the direction at `place`.

    Raises:
        InputError: the text, the direction or its model cannot be read.
    """
    file = find_direction(place)
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
    say_coverage(coverage_of(file) or coverage(scorer.model))
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
