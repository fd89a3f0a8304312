"""A sweep: an arm once for each value of one setting."""

from __future__ import annotations

from typing import Any

from ifcurate.studies.declared import Arm, Study, Sweep

SECTIONS = {"annotation": "annotations", "training": "trainings", "then": "afterwards", "decoding": "decodings"}


def expanded(study: Study) -> Study:
    """`study` with the arms of its sweeps among its arms, and their names in the place of the sweep's in its tables.

    The arm that is varied stays where it is.

    Raises:
        ValueError: an arm that is varied has no part with that setting, or a name is taken.
    """
    parts: dict[str, dict[str, Any]] = {section: dict(getattr(study, section)) for section in SECTIONS.values()}
    arms, swept = dict(study.arms), {}
    for name, sweep in study.sweeps.items():
        made = {_label(sweep, value): _arm(study, name, sweep, value, parts) for value in sweep.values}
        for label in made:
            if label in arms:
                raise ValueError(f"sweeps.{name}: makes an arm {label!r}, and there is one; rename it")
        arms |= made
        swept[name] = list(made)
    tables = {
        name: table
        if table.arms is None
        else table.model_copy(update={"arms": [arm for each in table.arms for arm in swept.get(each, [each])]})
        for name, table in study.tables.items()
    }
    return study.model_copy(update={**parts, "arms": arms, "sweeps": {}, "tables": tables})


def _label(sweep: Sweep, value: Any) -> str:
    return f"{sweep.arm}-{_part(sweep, value)}"


def _part(sweep: Sweep, value: Any) -> str:
    return f"{sweep.setting.partition('.')[2]}={value}"


def _arm(study: Study, name: str, sweep: Sweep, value: Any, parts: dict[str, dict[str, Any]]) -> Arm:
    arm = study.arms[sweep.arm]
    role, _, setting = sweep.setting.partition(".")
    part = getattr(arm, role)
    known = parts[SECTIONS[role]]
    if part is None or part not in known:
        raise ValueError(f"sweeps.{name}.setting: arm {sweep.arm!r} has no {role} of its own to vary")
    varied = f"{part}-{_part(sweep, value)}"
    known[varied] = {**known[part], setting: value}
    return arm.model_copy(update={role: varied})
