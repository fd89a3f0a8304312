/* What a token is, beside it: under the pointer, under a finger, or where the arrow keys have walked to. */

let pointed = null;

function cellAt(span) {
  for (const card of cards) {
    const cell = card.text.contains(span) ? card.cells.find((each) => each.span === span) : null;
    if (cell) return { card, cell };
  }
  return null;
}

function describeToken({ card, cell }) {
  const lines = [make("strong", {}, JSON.stringify(cell.span.textContent))];
  for (let token = cell.from; token < cell.to; token++) {
    const loss = card.shown.loss ? ` · loss ${short(card.shown.loss[token])}` : "";
    lines.push(make("span", {}, `${page.value} ${signed(card.shown.influence[token])}${loss}`));
  }
  if (card.taken.mask[cell.from]) lines.push(make("span", {}, "selected"));
  return lines;
}

function point(span) {
  const found = span ? cellAt(span) : null;
  if (pointed) pointed.classList.remove("pointed");
  pointed = found ? span : null;
  byId("tip").hidden = !found;
  if (!found) return;
  span.classList.add("pointed");
  const tip = byId("tip");
  tip.replaceChildren(...describeToken(found));
  const place = span.getClientRects()[0] ?? span.getBoundingClientRect();
  const left = Math.min(Math.max(8, place.left), document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = place.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : place.bottom + 6}px`;
}

/** Arrow keys, Home and End move from token to token of a text that has the focus. */
function walk(event, card) {
  const last = card.cells.length - 1;
  const here = card.cells.findIndex((cell) => cell.span === pointed);
  const steps = { ArrowRight: Math.min(here + 1, last), ArrowLeft: Math.max(here - 1, 0), Home: 0, End: last };
  if (event.key === "Escape") point(null);
  if (!(event.key in steps) || last < 0) return;
  event.preventDefault();
  point(card.cells[steps[event.key]].span);
}

function startTip() {
  const tokenOf = (event) => (event.target instanceof Element ? event.target.closest(".document .token") : null);
  byId("documents").addEventListener("pointerover", (event) => point(tokenOf(event)));
  byId("documents").addEventListener("pointerleave", () => point(null));
  byId("documents").addEventListener("focusout", () => point(null));
  document.addEventListener("click", (event) => point(tokenOf(event)));
  document.addEventListener("scroll", () => point(null), { passive: true });
}
