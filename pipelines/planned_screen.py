"""A screen in a plan: what it leaves to be scored, and what screening takes."""

from __future__ import annotations

from collections.abc import Sequence

from ifcurate.pipelines.screening import screen_file
from ifcurate.planning.durations import Took
from ifcurate.planning.work import StageWork
from ifcurate.screening.curve import share_for
from ifcurate.screening.screen import load_screen
from ifcurate.screening.settings import ScreeningSettings, percentage

SCREENED_A_SECOND = {"ngrams": 1.99e6, "probe": 14_721.0}
"""Tokens of one core, on an AMD EPYC (Zen 4); a probe's are those of a model of 7 M parameters."""


def screened_work(settings: ScreeningSettings, stages: Sequence[StageWork]) -> list[StageWork]:
    """The stages with the screen that is asked for: all is screened, and less is scored.

    Raises:
        InputError: the screen cannot be read, or never reaches the recall that is asked for.
    """
    if settings.screen is None:
        return list(stages)
    screen = load_screen(screen_file(settings.screen))
    asked = settings.share
    share = percentage(asked) if asked is not None else share_for(screen.curve, float(settings.recall or 0))
    rate = SCREENED_A_SECOND[str(screen.provenance.get("kind", "ngrams"))]
    return with_screen(stages, share, settings.audit_share, rate)


def with_screen(stages: Sequence[StageWork], share: float, audit: float, rate: float) -> list[StageWork]:
    """The stages with a screen before scoring that leaves `share`, and an audit of the rest, at `rate` tokens/s."""
    found: list[StageWork] = []
    for stage in stages:
        if stage.name != "score":
            found.append(stage)
            continue
        screening = Took(1 / rate, 1 / rate)
        found.append(
            StageWork("screen", stage.tokens, Took(), Took(), stage.processes, "measured elsewhere", screening)
        )
        found.append(stage.with_model(share + (1 - share) * audit))
    return found
