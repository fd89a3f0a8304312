"""What to select, and how many tokens: a share of the corpus, or a count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ifcurate.config import Config

_COUNT = re.compile(r"[0-9]+")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


@dataclass(frozen=True)
class Budget:
    """A share of the corpus's tokens, or a number of them; exactly one is set."""

    share: Fraction | None = None
    count: int | None = None

    @classmethod
    def parse(cls, given: str | int) -> Budget:
        """Read `"2%"`, `"0.5%"`, `"120000"` or `120000`.

        Raises:
            ValueError: it is neither a percentage from 0 to 100 nor a whole number from 0.
        """
        text = str(given).strip() if not isinstance(given, bool) else ""
        if _COUNT.fullmatch(text):
            return cls(count=int(text))
        percentage = _SHARE.fullmatch(text)
        if percentage is None or Fraction(percentage[1]) > 100:
            raise ValueError("must be a share from 0% to 100% such as 2%, or a whole number of tokens")
        return cls(share=Fraction(percentage[1]) / 100)

    def of(self, tokens: int) -> int:
        """The budget in tokens for a corpus of `tokens`, a share rounded down."""
        return self.count if self.count is not None else int((self.share or 0) * tokens)


class SelectionOptions(Config):
    """What Algorithm 1 selects, of whatever behaviour."""

    panel = "Selection"

    quantile: float = Field(0.99, ge=0, le=1, description="tau is this quantile of all influence")
    threshold: float | None = Field(None, allow_inf_nan=False, description="tau itself, in place of a quantile")
    neighbours: int = Field(1, ge=0, description="neighbours selected on both sides of a token above tau")
    budget: str | int = Field("2%", description="tokens to select: a share such as 2%, or a count")
    budget_ends: Literal["token", "neighbourhood"] = Field(
        "token", description="with the very last token, or before the first neighbourhood that does not fit"
    )
    rank_by: Literal["document", "window", "token"] = Field(
        "document", description="what is ranked; token: the highest tokens are selected, wherever they are, without tau"
    )
    length_exponent: float = Field(1, description="0, 0.5 or 1: this power of its length divides a record's score")
    max_repetition: float | None = Field(
        None, ge=0, le=1, description="documents of which more 4-grams of tokens repeat themselves give up nothing"
    )

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

    @model_validator(mode="after")
    def _tau_is_said_once(self) -> SelectionOptions:
        if self.threshold is not None and self.quantile != SelectionOptions.model_fields["quantile"].default:
            raise ValueError("--threshold is tau, and --quantile says where tau is; leave one of them out")
        return self

    @model_validator(mode="after")
    def _tokens_stand_alone(self) -> SelectionOptions:
        if self.rank_by == "token":
            if self.neighbours != 0 or self.budget_ends != "token":
                raise ValueError("--rank-by token selects nothing beside the highest tokens; give --neighbours 0")
            if self.threshold is not None or self.max_repetition is not None:
                raise ValueError("--rank-by token goes by the budget alone; leave out --threshold and --max-repetition")
        return self


class SelectionSettings(SelectionOptions):
    """What to select of one behaviour's scores."""

    behaviour: str = Field("toxic", pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="whose scores are read")
    context: int | None = Field(None, ge=1, description="tokens of a window, where windows are ranked")

    @model_validator(mode="after")
    def _windows_have_a_length(self) -> SelectionSettings:
        if self.rank_by == "window" and self.context is None:
            raise ValueError("--rank-by window needs --context, the tokens of a window")
        return self

    @property
    def record_length(self) -> int | None:
        """Tokens of a record, None for whole documents."""
        return self.context if self.rank_by == "window" else None
