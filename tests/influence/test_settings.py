from dataclasses import MISSING, fields

from ifcurate.influence.settings import ScoreSettings
from ifcurate.model.stored import Stored
from ifcurate.pipelines.run_config import RunConfig


def test_the_defaults_in_python_are_those_of_the_options() -> None:
    in_python = {field.name: field.default for field in fields(ScoreSettings) if field.default is not MISSING}
    assert in_python.pop("steps") is None, "what no option says is measured"
    assert in_python.pop("stored") == Stored(), "three options make it"
    assert in_python.pop("on") is None, "texts have no replies; an option cannot know which column holds messages"
    options = {name: RunConfig.model_fields[name].default for name in in_python}
    assert in_python == options
