"""Scored texts as lines of a terminal: coloured by influence, or plain for pipes and files."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ifcurate.report.scored_text import Inspection, ScoredPiece, ScoredText
from ifcurate.report.visible import visible, visible_line

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the influence with the darkest colour: where each colour begins; below the first there is none."""
RAISES = ("#000000 on #fee5d9", "#000000 on #fcae91", "#000000 on #fb6a4a", "#ffffff on #cb181d")
LOWERS = ("#000000 on #eff3ff", "#000000 on #bdd7e7", "#000000 on #6baed6", "#ffffff on #2171b5")
"""ColorBrewer's sequential reds and blues, four classes."""
SELECTED = "bold underline"
MARK = "**"
"""Around selected runs, where there are no colours."""


def coloured(inspection: Inspection) -> Iterator[Text]:
    """Every text under its heading, each token on the colour of its influence, selected ones underlined; a legend."""
    for text in inspection.texts:
        yield Text(_heading(text), style="bold")
        shown = Text()
        for piece in text.pieces():
            shown.append(visible(piece.text), style=style_of(piece, inspection.darkest))
        yield shown
        yield Text()
    yield _legend(inspection)
    if inspection.note is not None:
        yield Text(visible_line(inspection.note))


def plain(inspection: Inspection) -> Iterator[str]:
    """Every text under its heading, selected runs between `**`; where nothing was selected, a line a token."""
    for text in inspection.texts:
        yield _heading(text)
        if text.selected is None:
            yield from (f"{influence:+.4g}\t{visible_line(token)}" for token, influence in text.tokens())
        else:
            yield "".join(
                f"{MARK}{visible(piece.text)}{MARK}" if piece.selected else visible(piece.text)
                for piece in text.selected_runs()
            )
        yield ""
    if inspection.note is not None:
        yield visible_line(inspection.note)


def style_of(piece: ScoredPiece, darkest: float) -> str:
    """The style of a piece: red raises the behaviour, blue lowers it."""
    influence = piece.influence or 0.0
    classes = sum(abs(influence) >= share * darkest for share in SHARES) if influence else 0
    colour = (RAISES if influence > 0 else LOWERS)[classes - 1] if classes else ""
    return f"{SELECTED if piece.selected else ''} {colour}".strip()


def _heading(text: ScoredText) -> str:
    return " · ".join(visible_line(fact) for fact in text.heading)


def _legend(inspection: Inspection) -> Text:
    edge = f"{inspection.darkest:.4g}" + (", which is tau" if inspection.darkest == inspection.tau else "")
    legend = Text.assemble(
        ("raises", RAISES[2]), f" {inspection.behaviour} · ", ("lowers it", LOWERS[2]), f" · darkest from {edge}, on"
    )
    if any(text.selected is not None for text in inspection.texts):
        legend.append(" · ").append("selected", style=SELECTED)
    return legend
