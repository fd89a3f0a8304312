"""What of a corpus is scored: all of it, or what a screen says is worth it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from ifcurate.config import Config

_PERCENTAGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


class ScreeningSettings(Config):
    """Which documents are scored."""

    panel = "Screening"

    screen: str | None = Field(None, description="folder or file of a screen: score what it says is worth it")
    share: str | None = Field(None, description="of the text that is scored, from what the screen puts first; 10%")
    recall: float | None = Field(
        None, gt=0, lt=1, description="in place of --share: the least share in which the screen found as much"
    )
    audit: str = Field("1%", description="of the other documents, drawn by a hash of the text and scored too")

    @property
    def audit_share(self) -> float:
        """From 0 to 1."""
        return percentage(self.audit)

    @field_validator("share", "audit")
    @classmethod
    def _is_a_percentage(cls, value: str | None) -> str | None:
        if value is not None and not 0 < percentage(value) <= 1:
            raise ValueError("must be more than 0% and at most 100%, such as 10%")
        return value

    @model_validator(mode="after")
    def _says_how_much(self) -> ScreeningSettings:
        given = (self.share is not None) + (self.recall is not None)
        if self.screen is None and given:
            raise ValueError("--share and --recall need a --screen, which says what is scored")
        if self.screen is not None and given != 1:
            raise ValueError("--screen needs either --share or --recall, which say how much is scored")
        if self.screen is not None and getattr(self, "with_loss", False):
            raise ValueError("--with-loss needs every document scored; leave it or --screen out")
        return self


def percentage(value: Any) -> float:
    """`10%` as 0.1.

    Raises:
        ValueError: it is none.
    """
    found = _PERCENTAGE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError("must be a percentage such as 10%")
    return float(found[1]) / 100
