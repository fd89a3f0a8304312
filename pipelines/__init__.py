"""datatrove steps of ifcurate, one file each, and the recipes that wire them to executors.

The steps, for anybody's pipeline: `ReadShards`, `ScoreTokens` (with `ScoreSettings`), `WriteScores`, `SelectTokens` and
`WriteAnnotations`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifcurate.pipelines.read_shards import ReadShards
    from ifcurate.pipelines.score_tokens import ScoreTokens
    from ifcurate.pipelines.select_tokens import SelectTokens
    from ifcurate.pipelines.write_annotations import WriteAnnotations
    from ifcurate.pipelines.write_scores import WriteScores
    from ifcurate.score_settings import ScoreSettings

_HOMES = {
    "ReadShards": "ifcurate.pipelines.read_shards",
    "ScoreSettings": "ifcurate.score_settings",
    "ScoreTokens": "ifcurate.pipelines.score_tokens",
    "SelectTokens": "ifcurate.pipelines.select_tokens",
    "WriteAnnotations": "ifcurate.pipelines.write_annotations",
    "WriteScores": "ifcurate.pipelines.write_scores",
}

__all__ = ["ReadShards", "ScoreSettings", "ScoreTokens", "SelectTokens", "WriteAnnotations", "WriteScores"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
