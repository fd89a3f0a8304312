"use strict";
/* Elements and numbers. Texts of strangers get into the page as text nodes only. */

const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function option(value, text = value) {
  return make("option", { value }, text);
}

const grouped = new Intl.NumberFormat("en");
const count = (number) => grouped.format(number);

/** Four significant digits, as short as they can be written. */
function short(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  return size >= 1e5 || size < 1e-3 ? number.toExponential(2) : String(Number(number.toPrecision(4)));
}

const signed = (number) => (number > 0 ? "+" : number < 0 ? "−" : "") + short(Math.abs(number));

function percent(share) {
  const value = 100 * share;
  return `${value >= 10 || value === 0 ? value.toFixed(1) : Number(value.toPrecision(2))} %`;
}

/** A count, or the two between which it lies. */
function range([low, high], write = count) {
  return low === high ? write(low) : `${write(low)} – ${write(high)}`;
}

function table(headings, rows) {
  const numeric = (cell) => typeof cell === "number" || /^[+−-]?[\d.,]+( %|\b)/.test(String(cell));
  const cellOf = (cell) => make("td", { class: numeric(cell) ? "number" : null }, cell instanceof Node ? cell : String(cell));
  return make(
    "div",
    { class: "wide", tabindex: 0 },
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...headings.map((heading) => make("th", {}, heading)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cellOf)))),
    ),
  );
}
