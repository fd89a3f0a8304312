"""Recipe of `ifcurate directions publish`: a direction as a repository of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ifcurate.errors import InputError
from ifcurate.files import clear, finishing_folder, remove_parts_of, sha256_of
from ifcurate.hub import upload
from ifcurate.influence.direction import Direction, find_direction, load_direction
from ifcurate.influence.direction_card import Found
from ifcurate.pipelines.finished_folder import made_from, record_made
from ifcurate.pipelines.public_names import public_name, without_folders
from ifcurate.pipelines.publish_config import PublishDirectionConfig
from ifcurate.pipelines.run import Run, open_run
from ifcurate.progress import log
from ifcurate.selection.table import Selection, summary_path

MADE_FILE = ".publish.yaml"
"""What the folder was made from; hidden, and not uploaded."""


@dataclass(frozen=True)
class PublishedDirection:
    """The folder of a direction, and its address on the Hub if it was uploaded."""

    folder: Path
    address: str | None


def publish_direction(config: PublishDirectionConfig) -> PublishedDirection:
    """Write the direction and its card into their folder, unless they are there, and upload them, unless this is a dry
    run.

    Raises:
        InputError: there is no direction, the folder holds something else, or the Hub refuses.
    """
    folder = _write(config)
    address = None if config.dry_run else upload(folder, config.repo, "model", private=not config.public)
    return PublishedDirection(folder, address)


def _write(config: PublishDirectionConfig) -> Path:
    file, found = _source(config)
    origin, folder = {"direction": sha256_of(file), "found": [vars(one) for one in found]}, config.folder
    if config.overwrite:
        clear(folder, MADE_FILE)
    if made_from(folder, MADE_FILE, config, origin, free=["public"]) is not None:
        log.info(f"{folder}: is written already; --overwrite writes it anew")
        return folder
    direction = load_direction(file)
    said = without_folders(direction.provenance, config.model_id)
    if config.model_id is None and said.get("model") != direction.provenance.get("model"):
        log.warning(f"{said['model']} is a folder here: say with --model-id what this model is called on the Hub")
    remove_parts_of(folder)
    with finishing_folder(folder) as part:
        Direction(direction.tensors, said).save_pretrained(part, config.repo, config.license, found)
        record_made(part, MADE_FILE, config, origin)
    return folder


def _source(config: PublishDirectionConfig) -> tuple[Path, list[Found]]:
    """The direction's file, and what it found where that is known."""
    if not Run(Path(config.direction)).file.is_file():
        file = find_direction(config.direction)
        if config.behaviour not in (None, (behaviour := load_direction(file).behaviour)):
            raise InputError(f"option --behaviour: {file} is of {behaviour!r}; leave the option out.")
        return file, []
    run, settings = open_run(config.direction)
    known = run.behaviours if settings.has_directions else []
    if (config.behaviour is None and len(known) != 1) or config.behaviour not in (None, *known):
        raise InputError(
            f"option --behaviour: {run.root} has directions of {', '.join(known) or 'nothing'}; name one of them."
        )
    behaviour = config.behaviour or known[0]
    if not summary_path(run.selection, behaviour).is_file():
        return run.direction(behaviour), []
    selection = Selection.load(run.selection, behaviour)
    found = {name: getattr(selection, name) for name in Found.__dataclass_fields__ if name != "corpus"}
    return run.direction(behaviour), [Found(corpus=public_name(settings.corpus), **found)]
