/* What was run, documents that repeat themselves, the theme; and all parts of the page begun. */

const THEMES = ["auto", "light", "dark"];

function startHead() {
  const names = page.behaviours.map((behaviour) => behaviour.name).join(", ");
  const selected = page.behaviours.map((behaviour) => `${count(behaviour.selected)} tokens marked as ${behaviour.name}`);
  byId("headline").textContent = selected.join(", ");
  byId("lead").textContent =
    `of ${count(page.corpus.tokens)} in ${count(page.corpus.documents)} documents: what training on them teaches of ${names}`;
  byId("facts").replaceChildren(
    ...page.facts.map(([term, value]) => make("div", { class: value.length > 16 ? "long" : null }, make("dt", {}, term), make("dd", {}, value))),
  );
}

function startRepeated() {
  const rows = page.behaviours.flatMap(({ name, repeated }) =>
    repeated.map((each) => [name, each.number, `${each.shard}, row ${count(each.row)}`, each.id, count(each.tokens), percent(each.repeated)]),
  );
  if (!rows.length) return;
  byId("repeated").hidden = false;
  const looked = Math.max(...page.behaviours.map((behaviour) => behaviour.looked_at));
  byId("repeated").append(
    make(
      "p",
      { class: "soft" },
      `Of the ${count(looked)} documents of highest rank, these consist for the most part of runs of tokens that came before in ` +
        "the same document: their rank may tell of the repetition, not of the behaviour.",
    ),
    table(["behaviour", "number in rank", "document", "id", "tokens", "repeated"], rows),
  );
}

function startTheme() {
  const remembered = (() => {
    try {
      return localStorage.getItem("ifcurate-theme");
    } catch {
      return null; // nothing is stored for files
    }
  })();
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `theme: ${theme}`;
    try {
      localStorage.setItem("ifcurate-theme", theme);
    } catch {
      /* it is light or dark until the page is closed */
    }
  };
  byId("theme").addEventListener("click", () => {
    set(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
  });
  set(THEMES.includes(remembered) ? remembered : "auto");
}

startTheme();
startHead();
startChoice();
startPanels();
startEvaluation();
startDocuments();
startRepeated();
choose({});
document.documentElement.dataset.ready = "yes";
