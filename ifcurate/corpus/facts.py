"""What a look at every row of a file tells, where the file does not say it itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class Facts:
    """Found once, and handed to whoever opens the file again.

    Attributes:
        readable: the columns that have one type in all rows.
        num_rows: how many rows there are.
        conflicts: the other columns -> why they have no type, with the line where it shows.
        present: column -> rows in which it is there and not null, where that was counted.
    """

    readable: pa.Schema
    num_rows: int
    conflicts: Mapping[str, str] = field(default_factory=dict)
    present: Mapping[str, int] = field(default_factory=dict)
