"""What a run is asked to do: every option of `ifcurate annotate` and its stages, with its default."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from ifcurate.config import Config
from ifcurate.selection.settings import Budget

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "record": "window",
        "length_exponent": 0,
        "damping": 1e-8,
        "quantile": 0.99,
        "window": 1,
        "budget": "2%",
        "query_mean": "query",
    }
}
PRESETS["paper-code"] = PRESETS["paper"] | {"alignment": "position", "budget_ends": "neighbourhood"}
"""Named settings; whatever is given explicitly overrides them. `paper`: IF-Guide as written. `paper-code`: as its
published code computes it, with the scores of positions: the mask of token t is the score of the position that reads
t, whose own loss predicts t + 1."""

StageName = Literal["fit", "direct", "score", "select", "write"]
STAGES: tuple[StageName, ...] = ("fit", "direct", "score", "select", "write")

SELECTION_SETTINGS = frozenset({"quantile", "window", "budget", "budget_ends", "record", "length_exponent"})
"""Settings that a new selection may change without scoring again."""

_FIRST_STAGE: dict[StageName, frozenset[str]] = {
    "direct": frozenset(
        {"behaviour", "toxic_queries", "safe_queries", "max_queries", "query_mean", "damping", "direction"}
    ),
    "score": frozenset({"engine", "alignment", "dtype", "threads", "with_loss"}),
    "select": SELECTION_SETTINGS,
    "write": frozenset({"token_ids"}),
}


def first_stage(setting: str) -> StageName:
    """The first stage whose results depend on a setting."""
    return next((stage for stage, settings in _FIRST_STAGE.items() if setting in settings), "fit")


class RunConfig(Config):
    """Settings of a run; names are those of the options and of `run.yaml`."""

    corpus: str = Field(description="file, folder or glob of shards, on disk or any fsspec URL")
    out: str = Field(description="the run folder")
    model: str = Field(description="folder or Hub id of a decoder-only model")
    revision: str | None = Field(None, description="branch, tag or commit of the model on the Hub")
    text_column: str = Field("text", description="column that holds the documents")
    id_column: str | None = Field(None, description="column that holds their ids; default: `id` if there is one")
    behaviour: str = Field("toxic", description="name of what is looked for; column names begin with it")
    toxic_queries: str | None = Field(None, description="queries that show the behaviour")
    safe_queries: str | None = Field(None, description="queries that show its contrast")
    max_queries: int = Field(10_000, ge=1, description="most queries a side, drawn with the seed")
    query_mean: Literal["token", "query"] = Field("token", description="what a query set's loss is a mean over")
    direction: str | list[str] | None = Field(
        None, description="published directions, in place of queries and factors; several are scored along at once"
    )
    context: int | None = Field(None, ge=1, description="tokens a window; default: the model's, capped at 2,048")
    fit_tokens: int = Field(32_768, ge=1, description="tokens of the corpus that the curvature is fitted on")
    damping: float | Literal["heuristic"] = Field("heuristic", description="added to the curvature's eigenvalues")
    quantile: float = Field(0.99, ge=0, le=1, description="tau is this quantile of all influence")
    window: int = Field(1, ge=0, description="neighbours selected on both sides of a token above tau")
    budget: str | int = Field("2%", description="tokens to select: a share such as 2%, or a count")
    budget_ends: Literal["token", "neighbourhood"] = Field(
        "token", description="with the very last token, or before the first neighbourhood that does not fit"
    )
    record: Literal["document", "window"] = Field("document", description="what is ranked")
    length_exponent: float = Field(1, description="power of its length that divides a record's score")
    preset: str | None = Field(None, description="named settings: paper")
    engine: Literal["auto", "finite-difference", "one-sided", "jvp", "compiled-jvp", "kronfluence"] = Field("auto")
    alignment: Literal["label", "position"] = Field("label", description="whose gradient a token's score is")
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto: a GPU where there is one")
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = Field(
        "auto", description="auto: bfloat16 for forward mode on a GPU, else float32"
    )
    batch_tokens: int | None = Field(None, ge=1, description="positions a batch, padding included")
    threads: int = Field(1, ge=1, description="CPU threads a worker")
    workers: int | None = Field(None, ge=1, description="processes; default: all cores, or one a GPU")
    seed: int = Field(0, ge=0)
    token_ids: bool = Field(True, description="whether the annotated corpus carries token_ids")
    with_loss: bool = Field(False, description="whether each token's own loss is stored too, as the column `loss`")

    @property
    def directions(self) -> list[str]:
        """The published directions."""
        return [self.direction] if isinstance(self.direction, str) else self.direction or []

    def of(self, behaviour: str) -> RunConfig:
        """The same settings for one of the behaviours that a run scores."""
        return self.model_copy(update={"behaviour": behaviour})

    @field_validator("behaviour")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value):
            raise ValueError("must be letters, digits and underscores, it begins column names")
        return value

    @field_validator("direction")
    @classmethod
    def _is_one_or_several(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list):
            return value[0] if len(value) == 1 else value or None
        return value

    @field_validator("out")
    @classmethod
    def _is_on_disk(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder on disk, not a URL")
        return value

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", value):
            raise ValueError("must be auto, cpu, cuda, cuda:1 or mps")
        return value

    @field_validator("budget")
    @classmethod
    def _is_a_budget(cls, value: str | int) -> str | int:
        Budget.parse(value)
        return value

    @field_validator("length_exponent")
    @classmethod
    def _is_an_exponent(cls, value: float) -> float:
        if value not in (0, 0.5, 1):
            raise ValueError("must be 0, 0.5 or 1")
        return value

    @field_validator("damping")
    @classmethod
    def _is_positive(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < float("inf"):
            raise ValueError("must be positive and finite, or `heuristic`")
        return value

    @field_validator("preset")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value
