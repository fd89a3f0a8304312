"""Recipe of `ifcurate inspect`: which texts are shown, with the influence of their tokens."""

from __future__ import annotations

from ifcurate.errors import InputError
from ifcurate.pipelines.inspect_config import TOP, DocumentChoice, InspectConfig, TextToScore
from ifcurate.pipelines.inspected_run import InspectedRun
from ifcurate.report.lookup import Place
from ifcurate.report.scored_text import Inspection


def inspect(config: InspectConfig) -> Inspection:
    """The texts that `config` asks for.

    Raises:
        InputError: options do not go together, there is no such document, or something it needs is missing.
    """
    _require_one_question(config)
    if config.direction is not None:
        from ifcurate.pipelines.inspected_text import score_text

        return score_text(config, config.direction)
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
