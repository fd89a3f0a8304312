"""Recipe of `ifcurate eval recognition`: whether models tell labelled texts apart when they are asked."""

from __future__ import annotations

from dataclasses import replace

from ifcurate.corpus.tables import named_place, table_name
from ifcurate.evaluation.config import RecognitionConfig
from ifcurate.evaluation.labelled_texts import read_labelled
from ifcurate.evaluation.recognition import Question, measure_recognition
from ifcurate.evaluation.results import ModelFolder
from ifcurate.pipelines.evaluated_models import begin, open_model, start


def evaluate_recognition(config: RecognitionConfig) -> list[ModelFolder]:
    """Ask every model whether labelled texts show the behaviour.

    Raises:
        InputError: something given cannot be used.
    """
    ranks = start(config.device, config.threads)
    name, source = named_place(config.texts)
    labelled = read_labelled(
        source, config.split, config.text_column, config.label_column, config.positive, config.negative
    )
    question = Question(config.question, (config.yes, config.no), config.as_message)
    begun = begin(config, ranks)
    for folder, known in begun:
        opened = open_model(config, known, ranks)
        found = measure_recognition(
            opened.reader, opened.tokenizer, labelled, question, opened.context, config.seed, opened.control
        )
        if ranks.first:
            folder.write(replace(known, recognition={**known.recognition, name or table_name(source): found}))
    ranks.wait()
    return [folder for folder, _ in begun]
