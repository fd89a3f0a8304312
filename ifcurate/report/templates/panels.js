/* A panel a behaviour, side by side: what the choice selects, influence, sparsity against score, share by column. */

let shownColumn = mostTelling();

/** The column whose groups differ most in what is selected of them as it was run; shards only where there is nothing else. */
function mostTelling() {
  const [quantile, budget] = page.own;
  const differences = page.columns.map(({ name, values }, index) => {
    if (name === "shard") return -1;
    const selected = page.behaviours.map((behaviour) => behaviour.groups[index][quantile][budget]);
    const apart = (counts) => {
      const all = counts.reduce((sum, tokens) => sum + tokens, 0) || 1;
      return values.reduce((sum, value, group) => sum + Math.abs(counts[group] / all - value.tokens / page.corpus.tokens), 0);
    };
    return Math.max(...selected.map(apart));
  });
  return Math.max(0, differences.indexOf(Math.max(...differences)));
}

function figure(title, drawing, note) {
  return make("figure", {}, make("figcaption", {}, title), drawing, note ? make("p", { class: "note" }, note) : null);
}

function fact(name, term) {
  const value = make("dd", { "data-count": name });
  return { value, element: make("div", {}, make("dt", {}, term), value) };
}

function countsOf(behaviour) {
  const facts = {
    tokens: fact("tokens", "tokens selected"),
    share: fact("share", "of all tokens"),
    documents: fact("documents", "documents touched"),
    above: fact("above", "tokens above tau"),
    tau: fact("tau", "tau"),
  };
  whenChosen(() => {
    const found = outcome(behaviour);
    const of = (tokens) => percent(page.corpus.tokens ? tokens / page.corpus.tokens : 0);
    facts.tokens.value.textContent = range(found.tokens);
    facts.share.value.textContent = of(found.tokens[0]) === of(found.tokens[1]) ? of(found.tokens[0]) : range(found.tokens, of);
    facts.documents.value.textContent = range(found.documents);
    facts.above.value.textContent = count(behaviour.above[choice.quantile]);
    facts.tau.value.textContent = short(behaviour.taus[choice.quantile]);
  });
  return make("dl", { class: "counts" }, ...Object.values(facts).map((each) => each.element));
}

function shares(behaviour) {
  const rows = make("div", { class: "bars" });
  const show = () => {
    rows.replaceChildren(...(page.columns.length ? barsOf(behaviour, page.columns[shownColumn], outcome(behaviour)) : []));
  };
  whenChosen(show);
  return rows;
}

function barsOf(behaviour, column, found) {
  const most = Math.max(1, ...found.groups[shownColumn].map(([, high]) => high));
  return column.values.map((value, group) => {
    const [low, high] = found.groups[shownColumn][group];
    const sure = make("div", { class: "sure" });
    const perhaps = make("div", { class: "perhaps" });
    sure.style.width = `${(100 * low) / most}%`;
    perhaps.style.width = `${(100 * (high - low)) / most}%`;
    const part = value.tokens ? range([low, high], (tokens) => percent(tokens / value.tokens)) : "–";
    const title = `${value.name}: ${count(value.documents)} documents, ${count(value.tokens)} tokens, ${range([low, high])} selected`;
    return make(
      "div",
      { class: "bar", title, "data-group": value.name },
      make("span", { class: "name" }, value.name),
      make("span", { class: "track" }, sure, perhaps),
      make("span", { class: "size" }, range([low, high], (tokens) => compact.format(tokens))),
      make("span", { class: "part", title: "share of the tokens of this group that is selected" }, part),
    );
  });
}

function panel(behaviour) {
  const scatter = behaviour.scatter.cells.length
    ? figure(
        "Sparsity against score of documents",
        scatterChart(behaviour),
        `As it was run, ${count(page.corpus.documents - behaviour.scatter.without)} documents counted in cells; red: with ` +
          `selected tokens. ${count(behaviour.scatter.without)} more have no token above tau.`,
      )
    : figure("Sparsity against score", make("p", {}, "No document has a token above tau."));
  const by = make("figcaption", {});
  const relabel = () => {
    by.textContent = page.columns.length ? `Selected tokens by ${page.columns[shownColumn].name}` : "Selected tokens";
  };
  whenChosen(relabel);
  const note = page.columns.length
    ? "Right: how much of the group's own tokens is selected."
    : "No column tells the documents apart: each has one value, or too many.";
  return make(
    "article",
    { class: "panel", "data-behaviour": behaviour.name },
    make("h2", {}, behaviour.name),
    countsOf(behaviour),
    make(
      "div",
      { class: "charts" },
      figure(`All tokens by ${page.value}`, influenceChart(behaviour)),
      scatter,
      make("figure", {}, by, shares(behaviour), make("p", { class: "note" }, note)),
    ),
  );
}

function startPanels() {
  byId("column").replaceChildren(...page.columns.map((column, index) => option(index, column.name)));
  byId("column").value = shownColumn;
  byId("column").closest(".field").hidden = page.columns.length < 2;
  byId("column").addEventListener("change", (event) => {
    shownColumn = Number(event.target.value);
    choose({});
  });
  byId("behaviours").replaceChildren(...page.behaviours.map(panel));
}
