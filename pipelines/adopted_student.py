"""The student of a run, in the place of a direction: its head is kept in the run, its checkpoint where it is."""

from __future__ import annotations

import shutil

from ifcurate.errors import InputError
from ifcurate.files import finishing, sha256_of
from ifcurate.influence.student import Student, check_student, find_student, load_student
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.positions import hold_positions
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.progress import log


def require_student(config: RunConfig) -> Student:
    """The student of `config`, or refuse it, before anything is made.

    Raises:
        InputError: it is none, is damaged, or is of another behaviour.
    """
    assert config.student is not None
    student = load_student(find_student(config.student))
    if student.behaviour != config.behaviour:
        raise InputError(
            f"option --student: {config.student} is of the behaviour {student.behaviour!r}, not {config.behaviour!r}; "
            f"give --behaviour {student.behaviour}."
        )
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    model = load_causal_lm(config.model, config.revision, trust=config.trust)
    check_vocabulary(tokenizer, model)
    hold_positions(model, context_length(model, config.context, config.overlap))
    check_student(student, config.student, hash_model(model), hash_tokenizer(tokenizer))
    return student


def adopt_student(run: Run, config: RunConfig) -> None:
    """Copy the head of the student into the run, unless it is there, and say how near it comes.

    Raises:
        InputError: see `require_student`, or the run began with another one.
    """
    assert config.student is not None
    adopted = run.student(config.behaviour)
    if not adopted.is_file():
        student = require_student(config)
        with finishing(adopted) as part:
            shutil.copyfile(find_student(config.student), part)
        log.info(f"{config.student}: {student.sentence()}")
    elif sha256_of(adopted) != sha256_of(find_student(config.student)):
        raise InputError(f"option --student: {config.student} is another than {run.root} has; give another --out.")


def adopted_student(run: Run, config: RunConfig) -> Student | None:
    """The student whose scores a run has; None where they are exact."""
    return None if config.student is None else load_student(run.student(config.behaviour))


def scored_model(run: Run, config: RunConfig) -> tuple[str, str | None]:
    """The model whose influence the scores of a run are, and its revision; of a student, the one it learnt from."""
    student = adopted_student(run, config)
    if student is None:
        return config.model, config.revision
    revision = student.provenance.get("revision")
    return str(student.provenance["model"]), None if revision is None else str(revision)
