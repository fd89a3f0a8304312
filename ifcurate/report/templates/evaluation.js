/* Evaluated models: the tables, and for each set of prompts toxicity against perplexity with 95 % intervals. */

function padded(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const edge = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - edge, high + edge];
}

function evenTicks(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = size * [1, 2, 5].findLast((factor) => (size * factor * 2 <= high - low) || factor === 1);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(Number(value.toPrecision(6)));
  return found;
}

function frontier({ name, points }) {
  const [left, right] = padded(points.flatMap((point_) => point_.x));
  const [low, high] = padded(points.flatMap((point_) => point_.y));
  const x = (value) => across((value - left) / (right - left));
  const y = (value) => upward((value - low) / (high - low));
  const drawn = points.flatMap((each, index) => {
    const [px, x1, x2] = each.x.map(x);
    const [py, y1, y2] = each.y.map(y);
    const end = px > WIDTH * 0.6;
    return [
      draw("line", { class: "interval", x1, x2, y1: py, y2: py }),
      draw("line", { class: "interval", x1: px, x2: px, y1, y2 }),
      draw("circle", { class: index ? "model" : "model base", cx: px, cy: py, r: 4.5 }, draw("title", {}, each.model)),
      draw("text", { class: "name", x: end ? px - 8 : px + 8, y: py - 7, "text-anchor": end ? "end" : "start" }, each.model),
    ];
  });
  const drawing = frame(
    `Toxicity against perplexity on ${name}`,
    "perplexity",
    "expected maximum toxicity",
    ...ticks(evenTicks(low, high), y, String, true),
    ...ticks(evenTicks(left, right), x, String),
    ...drawn,
  );
  return figure(name, drawing, "Lower left is better. Lines: 95 % intervals. The first model is hollow.");
}

function startEvaluation() {
  const found = page.evaluation;
  if (!found) return;
  byId("evaluation").hidden = false;
  byId("evaluation").append(table(found.headings, found.rows));
  if (found.differences.length) byId("evaluation").append(table(found.difference_headings, found.differences));
  byId("evaluation").append(make("div", { class: "charts" }, ...found.panels.map(frontier)));
}
