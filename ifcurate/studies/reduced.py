"""A study without the arms and judges that cannot be had."""

from __future__ import annotations

from collections.abc import Collection

from ifcurate.errors import InputError
from ifcurate.studies.declared import Study, Table


def without(study: Study, arms: Collection[str], judges: Collection[str]) -> Study:
    """`study` without `arms` and `judges`, in its tables too.

    Raises:
        InputError: no arm or no judge is left.
    """
    left_arms = {name: arm for name, arm in study.arms.items() if name not in arms}
    left_judges = {name: judge for name, judge in study.judges.items() if name not in judges}
    for left, what in ((left_arms, "arm"), (left_judges, "judge")):
        if not left:
            raise InputError(f"there is no {what} left, as each needs something that cannot be had here.")
    changes = {
        "arms": left_arms,
        "judges": left_judges,
        "baseline": study.baseline if study.baseline in left_arms else None,
        "queries_chosen_by": [name for name in study.queries_chosen_by if name in left_judges],
        "tables": {name: _left(table, arms, judges) for name, table in study.tables.items()},
    }
    return study.model_copy(update=changes)


def _left(table: Table, arms: Collection[str], judges: Collection[str]) -> Table:
    changes = {
        "arms": None if table.arms is None else [name for name in table.arms if name not in arms],
        "judges": None if table.judges is None else [name for name in table.judges if name not in judges],
    }
    return table.model_copy(update=changes)
