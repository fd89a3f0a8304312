/* The choice of quantile and budget, and what it would select: exact where the selection was worked out, bounded by
   its neighbours between two budgets, since more budget never takes a token away. */

const STEPS = 4; // of the slider from one exact budget to the next
const own = { quantile: page.own[0], tokens: page.budgets[page.own[1]].tokens };
const choice = { ...own };
const listeners = [];

const whenChosen = (listener) => listeners.push(listener);

function choose(change) {
  Object.assign(choice, change);
  for (const listener of listeners) listener();
}

/** The numbers of the exact budgets around the one chosen; twice the same where it is exact. */
function neighbours() {
  const above = page.budgets.findIndex((budget) => budget.tokens >= choice.tokens);
  const last = page.budgets.length - 1;
  if (above < 0) return [last, last];
  return page.budgets[above].tokens === choice.tokens || above === 0 ? [above, above] : [above - 1, above];
}

/** What the chosen setting selects of a behaviour: every count as the two that it lies between. */
function outcome(behaviour) {
  const [low, high] = neighbours();
  const at = (counts) => [counts[choice.quantile][low], counts[choice.quantile][high]];
  const most = (pair) => [Math.min(pair[0], choice.tokens), Math.min(pair[1], choice.tokens)];
  return {
    tokens: most(at(behaviour.tokens)),
    documents: at(behaviour.documents),
    groups: behaviour.groups.map((groups) => {
      const [few, many] = at(groups);
      return few.map((tokens, group) => [tokens, many[group]]);
    }),
  };
}

function slide(position) {
  const index = Math.floor(position / STEPS);
  const from = page.budgets[index].tokens;
  if (position % STEPS === 0) return from;
  const to = page.budgets[index + 1].tokens;
  const part = (position % STEPS) / STEPS;
  return Math.round(from > 0 ? from * (to / from) ** part : to * part);
}

function slid(tokens) {
  const above = page.budgets.findIndex((budget) => budget.tokens >= tokens);
  if (above < 0) return STEPS * (page.budgets.length - 1);
  if (above === 0 || page.budgets[above].tokens === tokens) return STEPS * above;
  const from = page.budgets[above - 1].tokens;
  const to = page.budgets[above].tokens;
  const part = from > 0 ? Math.log(tokens / from) / Math.log(to / from) : tokens / to;
  return STEPS * (above - 1) + Math.min(STEPS - 1, Math.max(1, Math.round(STEPS * part)));
}

/** As `ifcurate select` takes it. */
function budgetWord() {
  const known = page.budgets.find((budget) => budget.tokens === choice.tokens);
  return known ? known.given : String(choice.tokens);
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function exactness() {
  const [low, high] = neighbours();
  if (low === high) return "Exact: these are the counts that ifcurate select gives.";
  const off = page.behaviours.map((behaviour) => {
    const [few, many] = outcome(behaviour).documents;
    return many - few;
  });
  const most = Math.max(...off);
  const error = `off by at most ${count(most)} ${most === 1 ? "document" : "documents"}`;
  return `Between ${page.budgets[low].given} and ${page.budgets[high].given}, which are exact: ${error}.`;
}

function showChoice() {
  const share = page.corpus.tokens ? percent(choice.tokens / page.corpus.tokens) : "";
  const word = budgetWord();
  byId("quantile").value = choice.quantile;
  byId("quantile-value").textContent = page.quantiles[choice.quantile];
  byId("budget").value = slid(choice.tokens);
  byId("budget-value").textContent = word.endsWith("%") ? word : `${count(choice.tokens)} tokens, ${share}`;
  if (document.activeElement !== byId("tokens")) byId("tokens").value = choice.tokens;
  byId("exactness").textContent = exactness();
  const run = quoted(page.run);
  const options = page.chosen || `--quantile ${page.quantiles[choice.quantile]} --budget ${word}`;
  byId("command").textContent = `ifcurate select ${run} ${options} && ifcurate write ${run}`;
  byId("reset").disabled = choice.quantile === own.quantile && choice.tokens === own.tokens;
}

function startChoice() {
  byId("quantile").max = page.quantiles.length - 1;
  byId("budget").max = STEPS * (page.budgets.length - 1);
  byId("tokens").max = page.corpus.tokens;
  byId("sliders").addEventListener("submit", (event) => event.preventDefault());
  byId("quantile").addEventListener("input", (event) => choose({ quantile: Number(event.target.value) }));
  byId("budget").addEventListener("input", (event) => choose({ tokens: slide(Number(event.target.value)) }));
  byId("tokens").addEventListener("input", (event) => {
    if (event.target.value !== "" && event.target.validity.valid) choose({ tokens: Number(event.target.value) });
  });
  byId("tokens").addEventListener("blur", showChoice);
  byId("reset").addEventListener("click", () => choose({ ...own }));
  whenChosen(showChoice);
}
