/* Charts as SVG, drawn once; what depends on the choice is moved. */

const WIDTH = 370;
const HEIGHT = 210;
const LEFT = 46;
const BOTTOM = 34;
const TOP = 24;
const RIGHT = 12;

const across = (share) => LEFT + share * (WIDTH - LEFT - RIGHT);
const upward = (share) => HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);

function frame(label, xTitle, yTitle, ...children) {
  return draw(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    draw("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: upward(0), y2: upward(0) }),
    draw("text", { class: "title", x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, xTitle),
    draw("text", { class: "title", x: 2, y: 11 }, yTitle),
    ...children,
  );
}

function ticks(values, place, write, vertical = false) {
  return values.flatMap((value) => {
    const at = place(value);
    return vertical
      ? [
          draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }),
          draw("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, write(value)),
        ]
      : [draw("text", { x: at, y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, write(value))];
  });
}

function powers(most, base = 10) {
  const found = [1];
  while (found.at(-1) * base <= most) found.push(found.at(-1) * base);
  while (found.length > 5) found.splice(0, found.length, ...found.filter((_, index) => index % 2 === 0));
  return found;
}

const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** Values worth a tick on an axis of asinh(value / scale), far enough from each other. */
function stretchedTicks(scale, low, high) {
  const found = [0];
  const reach = Math.max(Math.abs(low), Math.abs(high));
  const apart = (high - low) / 7;
  for (let value = 10 ** Math.floor(Math.log10(scale)); Math.asinh(value / scale) <= reach; value *= 10) {
    if (Math.asinh(value / scale) - Math.asinh(found.at(-1) / scale) >= apart) found.push(value);
  }
  return [...found.slice(1).reverse().map((value) => -value), ...found].filter((value) => {
    const at = Math.asinh(value / scale);
    return at >= low && at <= high;
  });
}

function influenceChart(behaviour) {
  const { scale, low, high, counts } = behaviour.histogram;
  const width = high - low || 1;
  const most = Math.max(...counts);
  const x = (value) => across((Math.asinh(value / scale) - low) / width);
  const y = (number) => upward(number > 0 ? (Math.log10(number) + 0.3) / (Math.log10(most) + 0.3) : 0);
  const bars = counts.map((number, bar) => {
    const value = scale * Math.sinh(low + ((bar + 0.5) / counts.length) * width);
    const left = across(bar / counts.length);
    const title = `${count(number)} tokens about ${signed(value)}`;
    return draw(
      "rect",
      { class: value > 0 ? "raises" : "lowers", x: left + 0.4, width: across((bar + 1) / counts.length) - left - 0.6, y: y(number), height: upward(0) - y(number) },
      draw("title", {}, title),
    );
  });
  const line = draw("line", { class: "tau", y1: TOP - 8, y2: upward(0) });
  const name = draw("text", { class: "tau", y: 11 });
  whenChosen(() => {
    const tau = behaviour.taus[choice.quantile];
    const at = Math.min(Math.max(x(tau), LEFT), WIDTH - RIGHT);
    for (const end of ["x1", "x2"]) line.setAttribute(end, at);
    name.setAttribute("x", Math.min(Math.max(at, LEFT + 120), WIDTH - RIGHT - 30));
    name.textContent = `tau ${short(tau)}`;
  });
  return frame(
    `Histogram of ${page.value}, ${behaviour.name}`,
    `${page.value} of a token`,
    "tokens, log scale",
    ...ticks(powers(most), y, (value) => compact.format(value), true),
    ...bars,
    ...ticks(stretchedTicks(scale, low, high), x, short),
    line,
    name,
  );
}

function scatterChart(behaviour) {
  const { columns, rows, most, scale, bottom, top, cells } = behaviour.scatter;
  const x = (value) => across(Math.log(value) / (Math.log(most) || 1));
  const y = (value) => upward((Math.asinh(value / scale) - bottom) / (top - bottom));
  const densest = Math.max(...cells.map((cell) => cell[2]));
  const squares = cells.map(([column, row, documents, selected]) => {
    const weight = 0.25 + (0.75 * Math.log1p(documents)) / Math.log1p(densest);
    const title = `${count(documents)} documents, ${count(selected)} with selected tokens`;
    const square = {
      class: selected ? "chosen" : "left",
      x: across(column / columns),
      y: upward((row + 1) / rows),
      width: (across(1) - across(0)) / columns,
      height: (upward(0) - upward(1)) / rows,
      opacity: weight.toFixed(2),
    };
    return draw("rect", square, draw("title", {}, title));
  });
  return frame(
    `Sparsity against score on ${behaviour.name}, documents counted in cells`,
    "tokens above tau",
    `their summed ${page.value}`,
    ...ticks(stretchedTicks(scale, bottom, top).slice(-5), y, short, true),
    ...squares,
    ...ticks(powers(most), x, count),
  );
}
