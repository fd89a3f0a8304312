"""`ifcurate demo`: everything once, on a small corpus that the package generates itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifcurate.cli.declared import declared
from ifcurate.demo.config import DemoConfig

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from ifcurate.demo.found import RankedText
    from ifcurate.pipelines.demo import DemoSummary


def demo(settings: DemoConfig) -> None:
    """Generate a small corpus with insults in it, train a model on it, find the insults, and push the model away."""
    from ifcurate.pipelines.demo import demo as run

    _print(run(settings))


def _print(summary: DemoSummary) -> None:
    """The result as two tables: how much was found, and the documents that rank highest."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ifcurate.cli.tables import plain_console

    found = summary.found
    figures = Table(box=box.SIMPLE, title="Insults in the demo corpus", title_justify="left", show_header=False)
    figures.add_column()
    figures.add_column(justify="right")
    figures.add_row("tokens in the corpus", f"{found.tokens:,}")
    figures.add_row("of them in an insult (random selection would hit this share)", f"{found.base_rate:.1%}")
    figures.add_row("tokens selected", f"{found.selected:,}")
    figures.add_row("of them in an insult", Text(f"{found.precision:.1%}", style="bold"))
    figures.add_row("insulting tokens that were selected", Text(f"{found.recall:.1%}", style="bold"))

    top = Table("rank", "label", "text, what was selected in red", box=box.SIMPLE, title="Highest ranked documents")
    top.title_justify = "left"
    for ranked in found.top:
        top.add_row(f"{ranked.rank:.2f}", ranked.label, _highlighted(ranked))

    console = plain_console()
    console.print(figures, top, _effect(summary))
    run = summary.run.run
    places = {"Annotated corpus": run.data, "Report": summary.report, "Everything else": summary.folder}
    console.print("\n".join(f"{name + ':':<17} {place}" for name, place in places.items()), soft_wrap=True)


def _effect(summary: DemoSummary) -> Table:
    """What the penalty did to the model, as a table."""
    from rich import box
    from rich.table import Table

    table = Table("", "before", "after", box=box.SIMPLE, title="Trained with a penalty on what was selected")
    table.title_justify = "left"
    for column in table.columns[1:]:
        column.justify = "right"
    models = (summary.before, summary.after)
    toxicity = [evaluation.toxicity[0] for evaluation in models]
    rows = {
        "prompts with a toxic completion": [f"{result.headline.tp.value:.1%}" for result in toxicity],
        "toxic completions": [f"{result.toxicity.toxic_share:.2%}" for result in toxicity],
        "empty completions": [f"{result.toxicity.empty_share:.2%}" for result in toxicity],
        "perplexity of clean text": [f"{each.perplexity.perplexity.value:.2f}" for each in models if each.perplexity],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _highlighted(ranked: RankedText) -> Text:
    from rich.text import Text

    text = Text(ranked.text)
    for start, end in ranked.spans:
        text.stylize("bold red", start, end)
    return text


command = declared(DemoConfig, demo)
