from __future__ import annotations

import io

from rich.console import Console

from ifcurate.progress import BarTracker


def test_brackets_in_the_name_of_a_stage_are_brackets() -> None:
    shown = io.StringIO()
    with BarTracker("hf:a[/z] [b]", 10, "texts", Console(file=shown, force_terminal=True, width=200)) as tracker:
        tracker.update(10, 10)
    assert "hf:a[/z] [b]" in shown.getvalue()
