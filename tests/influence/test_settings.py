from dataclasses import MISSING, fields

from ifcurate.influence.settings import ScoreSettings
from ifcurate.pipelines.run_config import RunConfig


def test_the_defaults_in_python_are_those_of_the_options() -> None:
    for field in fields(ScoreSettings):
        if field.name in RunConfig.model_fields and field.default is not MISSING:
            assert field.default == RunConfig.model_fields[field.name].default, field.name
