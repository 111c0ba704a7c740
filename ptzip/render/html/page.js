"use strict";
// Builds the page from the JSON block. Text of a checkpoint only ever becomes text nodes and attribute values, never markup.

const report = JSON.parse(document.getElementById("report").textContent);
const ROWS_AT_ONCE = 200;
const numbers = new Intl.NumberFormat("en-US");
const figures = [];

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function bytes(count) {
  let value = Math.abs(count), unit = 0;
  const units = ["B", "kB", "MB", "GB", "TB"];
  while (unit < units.length - 1 && Math.round(value * 10) / 10 >= 1000) { value /= 1000; unit += 1; }
  return (count < 0 ? "\u2212" : "") + value.toFixed(unit ? 1 : 0) + " " + units[unit];
}

function compact(value) {
  if (typeof value !== "number") return value ?? "";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return numbers.format(value);
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e7 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// Tables

const cells = {
  name: value => element("td", {class: "name"}, value),
  text: value => element("td", {class: "text"}, value ?? ""),
  short: value => element("td", {class: "short"}, value ?? ""),
  number: value => element("td", {class: "number"}, compact(value)),
  bytes: value => element("td", {class: "number", title: numbers.format(value) + " bytes"}, bytes(value)),
  share: value => {
    const cell = element("td", {class: "share"}, value ? (value < 0.0005 ? "< 0.1" : (value * 100).toFixed(1)) + " %" : "");
    cell.style.setProperty("--share", value);
    return cell;
  },
  percent: value => element("td", {class: "number"}, value ? (value * 100).toPrecision(3) + " %" : value === 0 ? "0" : ""),
  histogram: value => element("td", {}, value && value.length ? histogram(value) : ""),
};
const NUMBERS = new Set(["number", "bytes", "share", "percent"]);

function histogram(counts) {
  const space = "http://www.w3.org/2000/svg", most = Math.max(...counts, 1);
  const drawn = document.createElementNS(space, "svg");
  drawn.setAttribute("viewBox", `0 0 ${counts.length} 20`);
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", "histogram: " + counts.join(", "));
  counts.forEach((count, at) => {
    const bar = document.createElementNS(space, "rect"), height = count ? Math.max(1, 20 * count / most) : 0;
    for (const [name, value] of Object.entries({x: at, y: 20 - height, width: 0.9, height})) bar.setAttribute(name, value);
    drawn.append(bar);
  });
  return drawn;
}

function table({columns, rows, search = true}, title) {
  const haystack = rows.map(row => columns.map((column, at) => NUMBERS.has(column.type) ? "" : row[at]).join("\n").toLowerCase());
  const order = {column: -1, direction: 0};
  let found = rows.map((_, at) => at), shown = 0;
  const body = element("tbody"), count = element("output", {"aria-live": "polite"});
  const box = element("input", {type: "search", placeholder: "Search", "aria-label": `Search ${title}`, oninput: () => update()});
  const heads = columns.map((column, at) => element(
    "th", {"aria-sort": "none", scope: "col", class: NUMBERS.has(column.type) ? "number" : false},
    element("button", {type: "button", title: column.meaning || "Sort", onclick: () => sort(at)}, column.name)));
  const more = element("button", {type: "button", onclick: () => extend()});
  const scroll = element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": title},
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body), more);

  function sort(at) {
    const first = NUMBERS.has(columns[at].type) ? -1 : 1;
    order.direction = order.column !== at ? first : order.direction === first ? -first : 0;
    order.column = order.direction ? at : -1;
    heads.forEach((head, index) => head.setAttribute(
      "aria-sort", index !== order.column ? "none" : order.direction > 0 ? "ascending" : "descending"));
    update();
  }
  function update() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    rows.forEach((_, at) => { if (words.every(word => haystack[at].includes(word))) found.push(at); });
    if (order.direction) found.sort((a, b) => order.direction * compare(rows[a][order.column], rows[b][order.column]) || a - b);
    body.replaceChildren();
    shown = 0;
    count.textContent = found.length === rows.length ? numbers.format(rows.length)
      : `${numbers.format(found.length)} of ${numbers.format(rows.length)}`;
    extend();
    scroll.scrollTop = 0;
  }
  function extend() {
    const next = found.slice(shown, shown + ROWS_AT_ONCE);
    body.append(...next.map(at => element("tr", {}, ...columns.map((column, index) => cells[column.type](rows[at][index])))));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${numbers.format(Math.min(ROWS_AT_ONCE, found.length - shown))} more`;
  }
  new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting) && shown && shown < found.length) extend();
  }, {root: scroll, rootMargin: "200px"}).observe(more);
  update();
  return search ? [element("div", {class: "tools"}, box, count), scroll] : [scroll];
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? 1 : -1;  // what has no number comes last
  return String(a ?? "").localeCompare(String(b ?? ""), "en", {numeric: true});
}

// Facts and trees

function facts({rows}) {
  return [element("dl", {}, ...rows.flatMap(([name, value, level]) =>
    [element("dt", {}, name), element("dd", level ? {class: level} : {}, value)]))];
}

function tree({rows}, title) {
  const below = new Map();
  const open = [];
  rows.forEach(([depth], at) => {
    open.length = depth;
    const parent = depth ? open[depth - 1] : -1;
    if (!below.has(parent)) below.set(parent, []);
    below.get(parent).push(at);
    open[depth] = at;
  });
  function branch(at) {
    const [, name, what] = rows[at], words = [name, element("span", {}, name ? ": " + what : what)];
    if (!below.has(at)) return element("div", {}, ...words);
    const made = element("details", {}, element("summary", {}, ...words));
    made.addEventListener("toggle", () => fill(made, at), {once: true});
    return made;
  }
  function fill(into, at) { into.append(...below.get(at).map(branch)); }
  const top = element("div", {class: "tree", tabindex: "0", role: "region", "aria-label": title});
  if (rows.length) fill(top, -1);
  for (const first of top.querySelectorAll("details")) first.open = true;
  return [top];
}

// The map of a file

const ZOOM = 4;

function strip({size, kinds, parts}, title) {
  let current = 0, from = 0, to = Math.max(size, 1);
  const canvas = element("canvas", {tabindex: "0", role: "slider", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": Math.max(parts.length - 1, 0)});
  const words = element("output", {"aria-live": "polite"});
  const keys = kinds.map(([, colour, text]) => legendItem(colour, text));
  const columns = [["offset", "number"], ["bytes", "number"], ["kind", "short"], ["owner", "name"], ["remark", "text"]];
  const rows = parts.map(([offset, length, kind, owner, remark]) => [offset, length, kinds[kind][0], owner, remark]);

  function paint() {
    const scale = devicePixelRatio || 1, width = canvas.clientWidth * scale, height = canvas.clientHeight * scale;
    if (!width) return;
    Object.assign(canvas, {width, height});
    const pen = canvas.getContext("2d"), across = width / (to - from);
    for (const [offset, length, kind] of parts) {
      if (offset + length < from || offset > to) continue;
      pen.fillStyle = kinds[kind][1];
      pen.fillRect((offset - from) * across, 0, Math.max(length * across - (length * across > 4 ? 1 : 0), 0.6), height);
    }
    const [offset, length] = parts[current] ?? [0, 0];
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.lineWidth = 3 * scale;
    pen.strokeRect((offset - from) * across, 0, Math.max(length * across, 2), height);
  }
  function at(event) {
    const box = canvas.getBoundingClientRect(), byte = from + (event.clientX - box.left) / box.width * (to - from);
    let low = 0, high = parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (parts[middle][0] <= byte) low = middle; else high = middle - 1;
    }
    return low;
  }
  function select(index) {
    if (!parts.length) return;
    current = Math.min(Math.max(index, 0), parts.length - 1);
    const [offset, length, kind, owner, remark] = parts[current];
    if (offset + length < from || offset > to) move((to - from) / 2, offset + length / 2);
    words.textContent = `${numbers.format(offset)}, ${numbers.format(length)} bytes: ${[kinds[kind][0], owner, remark].filter(Boolean).join(", ")}`;
    canvas.setAttribute("aria-valuenow", current);
    canvas.setAttribute("aria-valuetext", words.textContent);
    paint();
  }
  function move(half, middle) {
    const wide = Math.min(Math.max(half, 8), size / 2);
    from = Math.min(Math.max(middle - wide, 0), Math.max(size - 2 * wide, 0));
    to = Math.max(from + 2 * wide, from + 1);
    paint();
  }
  function zoom(times) {
    const [offset, length] = parts[current] ?? [0, 0];
    move((to - from) / 2 / times, offset + length / 2);
  }
  const steps = {ArrowLeft: () => select(current - 1), ArrowRight: () => select(current + 1), Home: () => select(0),
    End: () => select(parts.length - 1), "+": () => zoom(ZOOM), "-": () => zoom(1 / ZOOM)};
  canvas.addEventListener("keydown", event => {
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    steps[event.key]();
  });
  canvas.addEventListener("pointermove", event => select(at(event)));
  canvas.addEventListener("click", event => { select(at(event)); zoom(ZOOM); });
  new ResizeObserver(paint).observe(canvas);
  const button = (text, label, act) => element("button", {type: "button", "aria-label": label, onclick: act}, text);
  return [
    element("div", {class: "tools"}, button("+", "Zoom in", () => zoom(ZOOM)), button("\u2212", "Zoom out", () => zoom(1 / ZOOM)),
      button("Whole file", "Show the whole file", () => move(size / 2, size / 2))),
    element("ul", {class: "legend"}, ...keys), element("div", {class: "strip"}, canvas, words),
    ...table({columns: columns.map(([name, type]) => ({name, type})), rows}, title)];
}

function legendItem(colour, text) {
  const square = element("i");
  square.style.background = colour;
  return element("li", {}, square, text);
}

// Figures

function figure({data, layout, legend = [], summary = ""}, title) {
  const drawn = element("div", {class: "figure" + (layout.height ? "" : " tall"), role: "img", "aria-label": `${title}. ${summary}`},
    element("p", {class: "waiting"}, "Drawing\u2026"));
  const made = {drawn, data, layout, ready: () => {}};
  figures.push(made);
  const keys = legend.map(([colour, name]) => legendItem(colour, name));
  return [...(data[0].type === "treemap" ? [zoomTools(made)] : []), ...(keys.length ? [element("ul", {class: "legend"}, ...keys)] : []), drawn];
}

// Plotly makes elements for every rectangle of a treemap, however deep, which takes half a minute for 20,000 of them. So it gets
// the levels below the one that is shown, and those around it.

const LEVELS = 4, MOST_DRAWN = 1200, MOST_PATHS = 2000;
const ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&#36;": "$"};

class Rectangles {
  constructor(trace) {
    this.trace = trace;
    this.parents = trace.parents.map(id => id === "" ? -1 : Number(id));
    this.children = trace.ids.map(() => []);
    this.paths = [];
    this.parents.forEach((parent, at) => {
      const name = trace.labels[at].replace(/&(lt|gt|amp|#36);/g, entity => ENTITIES[entity]);
      this.paths.push(parent > 0 ? `${this.paths[parent]}.${name}` : name);
      if (parent >= 0) this.children[parent].push(at);
    });
  }

  below(top) {
    const found = [];
    for (let at = this.parents[top]; at >= 0; at = this.parents[at]) found.unshift(at);
    let level = [top];
    for (let depth = 0; depth < LEVELS && level.length && (depth < 2 || found.length + level.length <= MOST_DRAWN); depth += 1) {
      found.push(...level);
      level = level.flatMap(at => this.children[at]);
    }
    return found;
  }

  shown(top) {
    const kept = this.below(top), {marker, ...trace} = this.trace, take = values => kept.map(at => values[at]);
    for (const name of ["ids", "parents", "labels", "values", "text", "customdata"]) trace[name] = take(trace[name]);
    const pattern = {...marker.pattern, shape: take(marker.pattern.shape), bgcolor: take(marker.pattern.bgcolor)};
    return {...trace, marker: {...marker, colors: take(marker.colors), pattern}, level: this.trace.ids[top], maxdepth: -1};
  }
}

// Plotly's rectangles take clicks only; these let a keyboard zoom to a path.
function zoomTools(made) {
  const all = new Rectangles(made.data[0]), list = `paths-${figures.length}`;
  let top = 0;
  const inner = all.paths.map((_, at) => at).filter(at => all.children[at].length).slice(0, MOST_PATHS);
  const box = element("input", {list, placeholder: "Zoom to a path", "aria-label": "Zoom to a path",
    onchange: () => { if (all.paths.includes(box.value)) zoom(all.paths.indexOf(box.value)); }});
  const where = element("output", {"aria-live": "polite"});
  function zoom(at) {
    top = at;
    made.data = [all.shown(top)];
    where.textContent = `${all.paths[top]}: ${bytes(all.trace.values[top])}`;
    redraw();
  }
  made.data = [all.shown(top)];
  made.ready = () => made.drawn.on("plotly_treemapclick", ({points: [{id}]}) => {
    const at = Number(id);
    if (at === top) zoom(Math.max(all.parents[top], 0));
    else if (all.children[at].length) zoom(at);
    return false;
  });
  const button = (text, act) => element("button", {type: "button", onclick: () => { box.value = ""; act(); }}, text);
  return element("div", {class: "tools"}, box, element("datalist", {id: list}, ...inner.map(at => element("option", {value: all.paths[at]}))),
    button("Up", () => zoom(Math.max(all.parents[top], 0))), button("Show all", () => zoom(0)), where);
}

function themed(layout) {
  const style = getComputedStyle(document.body), colour = style.color;
  const line = getComputedStyle(document.querySelector("section")).borderTopColor;
  const axis = {gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true};
  const whole = {...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {family: style.fontFamily, color: colour, size: 13}};
  for (const name of ["xaxis", "yaxis"]) whole[name] = {...axis, ...layout[name]};
  whole.hoverlabel = {font: {family: style.fontFamily}, align: "left", namelength: -1};
  return whole;
}

function draw() {
  for (const {drawn, data, layout} of figures) window.Plotly.react(drawn, data, themed(layout), {responsive: true, displaylogo: false, modeBarButtons: [["toImage"]]});
}

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), char => char.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function drawFigures() {
  const source = document.getElementById("plotly");
  const script = document.createElement("script");
  script.textContent = await unpacked(source.textContent);
  source.remove();
  document.head.append(script);
  for (const {drawn} of figures) drawn.replaceChildren();
  draw();
  for (const {ready} of figures) ready();
}

// The page

const show = {facts, table, tree, figure, strip};

function build() {
  const main = document.getElementById("sections"), contents = document.getElementById("contents");
  document.getElementById("title").title = report.title;
  for (const {text, level} of report.badges) document.getElementById("badges").append(element("span", {class: `badge ${level}`}, text));
  report.sections.forEach(({title, kind, content, note}, at) => {
    const id = `section-${at}`;
    contents.append(element("a", {href: `#${id}`}, title));
    main.append(element("section", {id, "aria-labelledby": `${id}-title`}, element("h2", {id: `${id}-title`}, title),
      ...(note ? [element("p", {class: "note"}, note)] : []), ...show[kind](content, title)));
  });
}

const dark = matchMedia("(prefers-color-scheme: dark)");
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}
function redraw() { if (window.Plotly) draw(); }
document.getElementById("theme").addEventListener("click", () => {
  paint(isDark() ? "light" : "dark");
});
dark.addEventListener("change", redraw);
let onScreen;
function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
  redraw();
}
addEventListener("beforeprint", () => { onScreen = document.documentElement.dataset.theme; paint("light"); });
addEventListener("afterprint", () => paint(onScreen));
addEventListener("keydown", event => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
  event.preventDefault();
  document.querySelector("input[type=search]")?.focus();
});

function reached(state) {
  document.documentElement.dataset.state = state;
  performance.mark(state);
}

build();
reached("usable");
requestAnimationFrame(() => setTimeout(() => drawFigures().then(() => reached("drawn"))));
