"""How many tokens to select: a share of the corpus, or a count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

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
