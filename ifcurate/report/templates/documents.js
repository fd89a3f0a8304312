/* The documents that are shown: every token on the colour of its influence, what the choice selects outlined. */

const ORDERS = {
  number: ["rank", (card) => card.shown.number],
  score: ["score", (card) => -card.shown.score],
  selected: ["tokens selected", (card) => -card.taken.high],
  tokens: ["length", (card) => -card.shown.tokens],
  repeated: ["repetition", (card) => -card.shown.repeated],
};
const LEAST_SHADE = 0.06; // of the influence with the darkest colour: below it there is none

let cards = [];

const currentBehaviour = () => page.behaviours[Number(byId("behaviour").value) || 0];

/** Influence, of either sign, from which on a token has the darkest colour: tau as it was run, or the largest shown. */
function darkest(behaviour) {
  const tau = behaviour.taus[own.quantile];
  const shown = behaviour.shown.flatMap((document_) => document_.influence.map(Math.abs));
  return tau > 0 ? tau : shown.reduce((most, value) => Math.max(most, value), 0) || 1;
}

/** Which of the tokens that are shown are selected, and how many of all; two counts where the budget ends unseen. */
function takenOf(shown) {
  const letters = shown.takes[choice.quantile];
  const mask = new Uint8Array(letters.length);
  let low = 0;
  let high = 0;
  for (const record of shown.records) {
    const at = record.at[choice.quantile];
    if (!at) continue;
    const [start, reach, before] = at;
    const room = Math.min(Math.max(choice.tokens - start, 0), reach);
    const { fits, surely } = room < reach ? partOf(record, letters, before, room) : { fits: reach, surely: reach };
    let passed = before;
    for (let token = record.from; token < record.to; token++) {
      if (letters[token] !== "." && ++passed <= fits) mask[token] = 1;
    }
    low += surely;
    high += fits;
  }
  return { mask, low, high };
}

/** How much of a record fits into `room` tokens of a budget that ends inside it, and how much surely does. */
function partOf(record, letters, before, room) {
  let passed = before;
  let fits = 0;
  for (let token = record.from; token < record.to; token++) {
    if (letters[token] !== "." && ++passed <= room && letters[token] === "|") fits = passed;
  }
  const seen = before < room && passed >= room; // else it ends in tokens that are not shown
  if (seen && (fits > 0 || before === 0)) return { fits, surely: fits };
  return seen ? { fits: before, surely: 0 } : { fits: room, surely: fits };
}

function tokensOf(shown, behaviour) {
  const limit = darkest(behaviour);
  const cells = [];
  const text = make("p", { class: "text" });
  let token = 0;
  let written = 0;
  for (const piece of shown.pieces) {
    const [gap, characters, several] = typeof piece === "string" ? ["", piece, 1] : piece;
    const between = gap ? make("span", { class: "gap" }, gap) : null;
    if (between) text.append(between);
    written += gap.length;
    if (!several) continue;
    const values = shown.influence.slice(token, token + several);
    const strongest = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    const share = Math.min(1, Math.abs(strongest) / limit);
    const span = make("span", { class: "token" }, characters);
    if (share >= LEAST_SHADE) {
      span.classList.add(strongest > 0 ? "up" : "down");
      span.style.setProperty("--shade", (0.14 + 0.86 * share).toFixed(3));
    }
    cells.push({ span, between, from: token, to: token + several, start: written, end: written + characters.length });
    text.append(span);
    token += several;
    written += characters.length;
  }
  return { text, cells };
}

function chip(text, kind = "") {
  return make("span", { class: `chip ${kind}` }, text);
}

function cardOf(shown, behaviour) {
  const { text, cells } = tokensOf(shown, behaviour);
  const selected = make("span", { class: "selected-count" });
  const veil = make("button", { type: "button", class: "veil" }, "Show this text");
  const card = { shown, cells, text, selected, veil, taken: takenOf(shown), words: text.textContent.toLowerCase() };
  const labels = shown.labels.map((value, index) => chip(`${page.columns[index].name}: ${value}`));
  if (shown.repeated >= 0.5) labels.push(chip(`repeats itself: ${percent(shown.repeated)}`, "warning"));
  const cut = (tokens, where) => (tokens ? make("p", { class: "cut" }, `… ${count(tokens)} tokens ${where}`) : null);
  card.element = make(
    "article",
    { class: "document", id: `document-${shown.number}`, "data-number": shown.number },
    make(
      "header",
      {},
      make("h3", {}, `${shown.number}`),
      make("span", { class: "place" }, `${shown.shard}, row ${count(shown.row)}`, shown.id ? ` · id ${shown.id}` : ""),
      make("span", { class: "numbers" }, `rank ${short(shown.rank)} · score ${short(shown.score)} · ${count(shown.sparsity)} above tau · `, selected),
    ),
    make("div", { class: "chips" }, ...labels),
    make("div", { class: "body" }, make("div", { class: "veiled-part" }, cut(shown.before, "before"), text, cut(shown.after, "after")), veil),
  );
  veil.addEventListener("click", () => {
    setVeil(card, false);
    text.focus();
  });
  text.addEventListener("keydown", (event) => walk(event, card));
  return card;
}

function setVeil(card, veiled) {
  card.element.classList.toggle("veiled", veiled);
  card.veil.hidden = !veiled;
  if (veiled) card.text.removeAttribute("tabindex");
  else card.text.setAttribute("tabindex", "0");
  card.text.parentElement.inert = veiled;
}

function outline(card) {
  const { mask, low, high } = (card.taken = takenOf(card.shown));
  let before = false;
  card.cells.forEach(({ span, between, from, to }, index) => {
    const now = mask.subarray(from, to).some(Boolean);
    const next = card.cells[index + 1];
    span.classList.toggle("selected", now);
    if (between) between.classList.toggle("selected", now && before);
    span.classList.toggle("first", now && !before);
    span.classList.toggle("last", now && !(next && mask.subarray(next.from, next.to).some(Boolean)));
    before = now;
  });
  card.selected.textContent = `${range([low, high])} of ${count(card.shown.tokens)} tokens selected`;
  card.element.classList.toggle("untouched", high === 0);
}

function find() {
  const word = byId("search").value.trim().toLowerCase();
  const column = byId("filter-column").value;
  const value = byId("filter-value").value;
  const onlySelected = byId("only-selected").checked;
  const [, key] = ORDERS[byId("order").value];
  const found = cards.filter(
    ({ shown, taken, words }) =>
      (!word || words.includes(word)) &&
      (column === "" || value === "" || shown.labels[Number(column)] === value) &&
      (!onlySelected || taken.high > 0),
  );
  found.sort((one, other) => key(one) - key(other) || one.shown.number - other.shown.number);
  for (const card of found) markWord(card, word);
  byId("documents").replaceChildren(...found.map((card) => card.element));
  const touched = found.filter((card) => card.taken.high > 0).length;
  byId("found").textContent = `${count(found.length)} of ${count(cards.length)} documents, ${count(touched)} of them with selected tokens`;
}

function markWord({ words, cells }, word) {
  const hits = [];
  for (let at = word ? words.indexOf(word) : -1; at >= 0; at = words.indexOf(word, at + word.length)) hits.push(at);
  for (const { span, start, end } of cells) {
    span.classList.toggle("hit", hits.some((at) => start < at + word.length && at < end));
  }
}

function showBehaviour() {
  const behaviour = currentBehaviour();
  cards = behaviour.shown.map((shown) => cardOf(shown, behaviour));
  for (const card of cards) {
    setVeil(card, card.shown.sparsity > 0 && !byId("reveal").checked);
    outline(card);
  }
  const legend = [
    make("span", { class: "token up full" }, `raises ${behaviour.name}`),
    make("span", { class: "token down full" }, "lowers it"),
    make("span", { class: "token selected first last" }, "selected"),
    `darkest from ${short(darkest(behaviour))} on; point at a token, or walk with the arrow keys, for its numbers`,
  ];
  byId("legend").replaceChildren(...legend);
  byId("documents-note").textContent =
    `The ${count(behaviour.shown.length)} shown are the highest in rank and those around the end of the budget, of ` +
    `${count(page.corpus.documents)}; ifcurate inspect ${quoted(page.run)} --grep WORD searches all.`;
  showValues();
}

function showValues() {
  const column = byId("filter-column").value;
  const values = column === "" ? [] : [...new Set(cards.map((card) => card.shown.labels[Number(column)]))].sort();
  byId("filter-value").replaceChildren(option("", "anything"), ...values.map((value) => option(value)));
  byId("filter-value").disabled = column === "";
  find();
}

function startDocuments() {
  byId("behaviour").replaceChildren(...page.behaviours.map(({ name }, index) => option(index, name)));
  byId("behaviour-field").hidden = page.behaviours.length < 2;
  byId("order").replaceChildren(...Object.entries(ORDERS).map(([value, [name]]) => option(value, name)));
  byId("filter-column").replaceChildren(option("", "(all)"), ...page.columns.map(({ name }, index) => option(index, name)));
  byId("finder").addEventListener("submit", (event) => event.preventDefault());
  byId("behaviour").addEventListener("change", showBehaviour);
  byId("filter-column").addEventListener("change", showValues);
  for (const id of ["filter-value", "order", "only-selected"]) byId(id).addEventListener("change", find);
  byId("search").addEventListener("input", find);
  byId("reveal").addEventListener("change", (event) => {
    for (const card of cards) setVeil(card, card.shown.sparsity > 0 && !event.target.checked);
  });
  startTip();
  showBehaviour();
  whenChosen(() => {
    cards.forEach(outline);
    find();
  });
}
