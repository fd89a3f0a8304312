"""The report in a real browser: what it shows, and that moved sliders give what `ifcurate select` gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, messages, prefer, resize
from comparisons import write_small_comparison
from scored_runs import DrawnCorpus

from ifcurate.pipelines.corpus_record import recorded_shards
from ifcurate.pipelines.report import report
from ifcurate.pipelines.report_config import ReportConfig
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import select
from ifcurate.selection.records import cut_records, mask_records
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.table import ShardRecords

pytestmark = pytest.mark.browser

SCRIPT = '<script>document.title = "run"; throw 1</script> vile stupid <img src=x onerror="document.title=1">'
SETTINGS = [(0.9, "0.5%"), (0.95, "1%"), (0.98, "3%"), (0.99, "0.25%"), (0.998, "10%")]
"""All of them in the grid, none the run's own."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two behaviours; a text of markup, one that repeats itself, one that is longer than is shown."""
    texts = [SCRIPT, "vile ugly rotten foul " * 30, " ".join(f"calm{number} vile" for number in range(300))]
    corpus = DrawnCorpus.draw(150, behaviours=("rude", "toxic"), first_texts=texts)
    made = corpus.write(tmp_path_factory.mktemp("browser"), quantile=0.95, budget="2%")
    write_small_comparison(made.root / "evaluation")
    report(ReportConfig(run=str(made.root)))
    return made


@pytest.fixture(scope="module")
def browser(run: Run) -> Iterator[Any]:
    with chromium() as opened:
        opened.get((run.root / "report.html").as_uri())
        assert opened.execute_script("return document.documentElement.dataset.ready") == "yes"
        yield opened


@pytest.fixture(autouse=True)
def quiet(browser: Any) -> Iterator[None]:
    """Nothing that a test does may write to the console."""
    yield
    assert messages(browser) == []


def run_script(browser: Any, script: str, *arguments: Any) -> Any:
    return browser.execute_script(script, *arguments)


def write_into(browser: Any, element: str, value: Any, event: str = "input") -> None:
    script = (
        "const element = document.getElementById(arguments[0]); element.value = arguments[1];"
        "element.dispatchEvent(new Event(arguments[2], {bubbles: true}))"
    )
    browser.execute_script(script, element, value, event)


def counts(browser: Any, behaviour: str) -> dict[str, str]:
    script = (
        "const panel = document.querySelector(`[data-behaviour=${arguments[0]}]`);"
        "return Object.fromEntries([...panel.querySelectorAll('[data-count]')].map("
        "one => [one.dataset.count, one.textContent]))"
    )
    return dict(browser.execute_script(script, behaviour))


def choose(browser: Any, quantile: float, budget: str) -> None:
    """Move both sliders to where they say that they are at this choice."""
    stops = run_script(browser, "return [page.quantiles, page.budgets.map(one => one.given), STEPS]")
    write_into(browser, "quantile", stops[0].index(quantile))
    write_into(browser, "budget", stops[1].index(budget) * stops[2])


def selected_texts(browser: Any) -> dict[str, list[str]]:
    """Of every document shown, by shard and row, the tokens that are outlined."""
    script = (
        "return Object.fromEntries(cards.map(card => [`${card.shown.shard}:${card.shown.row}`, "
        "card.cells.filter(cell => cell.span.classList.contains('selected')).map(cell => cell.span.textContent)]))"
    )
    return dict(browser.execute_script(script))


def masked_texts(run: Run, config: RunConfig, tau: float, place: str) -> list[str]:
    """The same from the selection that is on disk."""
    shard, _, row = place.rpartition(":")
    scored = Sidecar(shard, run.scores / f"{shard}.parquet", config.behaviour).document(int(row))
    taken = ShardRecords.load(run.selection, config.behaviour, shard).of_rows(int(row), 1)["selected"].to_numpy()
    records = cut_records(scored.tokens, config.context if config.rank_by == "window" else None)
    mask = mask_records(scored, records, np.float32(tau), config.neighbours, taken)
    corpus = {one.name: one.path for one in recorded_shards(run)}
    text = read_text(Path(corpus[shard]), int(row))
    spans = zip(scored.tokens.starts[mask].tolist(), scored.tokens.ends[mask].tolist(), strict=True)
    return [text[start:end] for start, end in dict.fromkeys(spans)]


def read_text(file: Path, row: int) -> str:
    import pyarrow.parquet as pq

    return str(pq.read_table(file)["text"][row].as_py())


def selections(run: Run, quantile: float, budget: str) -> Sequence[tuple[Any, RunConfig]]:
    _, config = open_run(str(run.root))
    changed = config.model_copy(update={"quantile": quantile, "budget": budget})
    shards = recorded_shards(run)
    return [(select(run, changed.of(name), shards), changed.of(name)) for name in run.behaviours]


@pytest.mark.parametrize(("quantile", "budget"), SETTINGS)
def test_sliders_give_what_select_gives(browser: Any, run: Run, quantile: float, budget: str) -> None:
    choose(browser, quantile, budget)
    assert "Exact" in run_script(browser, "return document.getElementById('exactness').textContent")
    command = run_script(browser, "return document.getElementById('command').textContent")
    assert f"--quantile {quantile} --budget {budget}" in command
    for number, (selection, config) in enumerate(selections(run, quantile, budget)):
        shown = counts(browser, config.behaviour)
        assert shown["tokens"] == f"{selection.tokens_selected:,}"
        assert shown["documents"] == f"{selection.documents_selected:,}"
        assert shown["above"] == f"{selection.tokens_above_tau:,}"
        write_into(browser, "behaviour", number, "change")
        outlined = {place: found for place, found in selected_texts(browser).items() if len(found) < 100}
        assert sum(map(len, outlined.values())) > 0
        for place, found in outlined.items():
            if not place.endswith(":2") or not place.startswith("part-000"):  # which is not shown as a whole
                assert found == masked_texts(run, config, selection.tau, place)


def test_between_two_budgets_the_counts_lie_between_those_shown(browser: Any, run: Run) -> None:
    choose(browser, 0.95, "1%")
    tokens = int(run_script(browser, "return choice.tokens"))
    write_into(browser, "tokens", tokens + 3)
    assert "off by at most" in run_script(browser, "return document.getElementById('exactness').textContent")
    for selection, config in selections(run, 0.95, str(tokens + 3)):
        shown = counts(browser, config.behaviour)
        for name, value in (("tokens", selection.tokens_selected), ("documents", selection.documents_selected)):
            ends = [int(end.replace(",", "")) for end in shown[name].split(" – ")]
            assert ends[0] <= value <= ends[-1]


def test_search_finds_a_word_and_nothing_else(browser: Any) -> None:
    write_into(browser, "search", "ROTTEN")
    shown = run_script(browser, "return [...document.querySelectorAll('.document .text')].map(one => one.textContent)")
    everything = run_script(browser, "return cards.map(card => card.text.textContent)")
    assert shown and all("rotten" in text for text in shown)
    assert len(shown) == sum("rotten" in text for text in everything) < len(everything)
    hits = run_script(browser, "return [...document.querySelectorAll('.hit')].map(one => one.textContent)")
    assert hits and all("rotten" in hit for hit in hits)
    write_into(browser, "search", "")


def test_documents_are_filtered_by_a_column(browser: Any) -> None:
    column = run_script(browser, "return page.columns.findIndex(one => one.name === 'meta.source')")
    write_into(browser, "filter-column", column, "change")
    write_into(browser, "filter-value", "forum", "change")
    chips = run_script(browser, "return [...document.querySelectorAll('.document .chips')].map(one => one.textContent)")
    assert chips and all("meta.source: forum" in text for text in chips)
    write_into(browser, "filter-column", "", "change")


def test_markup_in_a_text_is_shown_and_never_run(browser: Any) -> None:
    texts = run_script(browser, "return cards.map(card => card.text.textContent)")
    assert SCRIPT in texts
    assert run_script(browser, "return document.title") not in ("run", "1")
    assert run_script(browser, "return document.querySelectorAll('.document script, .document img').length") == 0


def test_texts_are_blurred_until_they_are_clicked(browser: Any) -> None:
    veil = browser.find_element("css selector", ".document.veiled .veil")
    card = run_script(browser, "return arguments[0].closest('.document')", veil)
    blur = "return getComputedStyle(arguments[0].querySelector('.veiled-part')).filter"
    assert "blur" in run_script(browser, blur, card)
    run_script(browser, "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", card)
    veil.click()
    assert run_script(browser, blur, card) == "none"
    text = card.find_element("css selector", ".text")
    text.send_keys("\ue014\ue014")  # arrow right, twice: the second token
    tip = run_script(browser, "return document.getElementById('tip').innerText")
    assert "influence" in tip and "loss" in tip
    text.send_keys("\ue00c")
    assert run_script(browser, "return document.getElementById('tip').hidden")


def test_an_evaluation_is_a_table_and_a_figure(browser: Any) -> None:
    section = browser.find_element("id", "evaluation")
    assert section.is_displayed()
    cells = [cell.text for cell in section.find_elements("css selector", "td")]
    assert "before </td><b>" in cells and "-0.400 [-0.500, -0.300]" in cells
    circles = section.find_elements("css selector", "svg circle")
    places = [(float(circle.get_attribute("cx")), float(circle.get_attribute("cy"))) for circle in circles]
    assert len(places) == 2 and places[1][0] > places[0][0] and places[1][1] > places[0][1], "later: right and below"
    assert [name.text for name in section.find_elements("css selector", "svg text.name")][1] == "after"


def test_nothing_is_wider_than_a_telephone(browser: Any) -> None:
    resize(browser, 360, 740)
    assert run_script(browser, "return document.documentElement.scrollWidth") <= 360
    resize(browser, 1280, 900)


def test_light_and_dark_follow_the_system_until_somebody_chooses(browser: Any) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    prefer(browser, "light")
    light = run_script(browser, background)
    prefer(browser, "dark")
    dark = run_script(browser, background)
    assert light != dark
    for expected in (light, dark, dark):  # the button goes from auto to light, dark, and auto, which is dark here
        run_script(browser, "document.getElementById('theme').click()")
        assert run_script(browser, background) == expected
