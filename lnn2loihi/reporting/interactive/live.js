"use strict";
// Runs the program of this page: first on the recorded input, where every recorded word has to be
// equal, then on whatever the reader draws. Nothing is fetched, and nothing leaves the page.

const data = JSON.parse(document.getElementById("live-data").textContent);
const at = (name) => document.getElementById(`live-${name}`);
const TYPES = { 1: Int8Array, 2: Int16Array, 4: Int32Array };
const MOST_ROWS = 96;
const inputs = data.channels.length;

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// Arrays are little-endian, as WebAssembly's memory is, whatever the machine is.
function numbersOf(text, Type) {
  const bytes = bytesOf(text);
  const view = new DataView(bytes.buffer);
  const size = Type.BYTES_PER_ELEMENT;
  const read = `get${Type.name.replace("Array", "")}`;
  return Type.from({ length: bytes.length / size }, (_, i) => view[read](i * size, true));
}

// ---- The program -------------------------------------------------------------------------------

class Program {
  constructor(exported) {
    this.exported = exported;
  }

  // One sample: the messages that each source sends in all its updates, and the words afterwards.
  step(row, sent) {
    const { memory, input_words, record_words, update } = this.exported;
    const given = new DataView(memory.buffer, input_words(), 4 * inputs);
    row.forEach((value, i) => given.setInt32(4 * i, value, true));
    const found = new Int32Array(memory.buffer, record_words(), data.record);
    for (let i = 0; i < data.updates; i += 1) {
      update();
      data.sources.forEach((source, place) => {
        for (let n = 0; n < source.size; n += 1) {
          const message = source.at < 0 ? row[n] : found[source.at + n];
          if (message !== 0) {
            sent.messages[place] += 1;
            sent.operations += source.fanOut[n];
          }
        }
      });
    }
    return found;
  }

  // All samples of an input, from the state before the first one.
  run(input) {
    this.exported.restart();
    const words = new Int32Array(data.samples * data.record);
    const counts = [];
    for (let t = 0; t < data.samples; t += 1) {
      const sent = { messages: data.sources.map(() => 0), operations: 0 };
      const row = input.subarray(t * inputs, (t + 1) * inputs);
      words.set(this.step(row, sent), t * data.record);
      counts.push(sent);
    }
    return { words, counts };
  }
}

// How many of the recorded words differ from those of a run.
function differences(words) {
  let values = 0;
  let differ = 0;
  for (const word of data.words) {
    for (let t = 0; t < data.samples; t += 1) {
      for (let n = 0; n < word.size; n += 1) {
        values += 1;
        differ += words[t * data.record + word.at + n] === word.recorded[t * word.size + n] ? 0 : 1;
      }
    }
  }
  return { values, differ };
}

// ---- Drawing -----------------------------------------------------------------------------------

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// A canvas with as many dots as the screen has, and its size in points of the page.
function surface(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.max(Math.round(width * ratio), 1);
  canvas.height = Math.max(Math.round(height * ratio), 1);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return { pen, width, height };
}

const MARGIN = 8;

function place(area, sample, value, range) {
  const share = (value - range.low) / (range.high - range.low || 1);
  return [
    ((sample + 0.5) * area.width) / data.samples,
    area.height - MARGIN - share * (area.height - 2 * MARGIN),
  ];
}

// Values stand for a whole sample each.
function stairs(area, values, range, stroke, dashes = []) {
  const { pen } = area;
  const half = area.width / data.samples / 2;
  pen.beginPath();
  values.forEach((value, t) => {
    const [x, y] = place(area, t, value, range);
    pen.lineTo(x - half, y);
    pen.lineTo(x + half, y);
  });
  pen.strokeStyle = stroke;
  pen.lineWidth = 1.75;
  pen.setLineDash(dashes);
  pen.stroke();
  pen.setLineDash([]);
}

function cursor(area) {
  const { pen } = area;
  const x = ((chosen.sample + 0.5) * area.width) / data.samples;
  pen.strokeStyle = colour("muted");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, area.height);
  pen.stroke();
}

function rangeOf(...lists) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return high > low ? { low, high } : { low: low - 1, high: high + 1 };
}

// Rows of neurons by samples: nothing for 0, one colour above and one below.
function shades(canvas, word) {
  const { pen, width, height } = surface(canvas);
  const rows = Math.min(word.size, MOST_ROWS);
  let most = 1;
  for (let t = 0; t < data.samples; t += 1) {
    for (let n = 0; n < rows; n += 1) {
      most = Math.max(most, Math.abs(run.words[t * data.record + word.at + n]));
    }
  }
  const [above, below] = [colour("loihi"), colour("cpu")];
  const [wide, tall] = [width / data.samples, height / rows];
  for (let t = 0; t < data.samples; t += 1) {
    for (let n = 0; n < rows; n += 1) {
      const value = run.words[t * data.record + word.at + n];
      pen.globalAlpha = Math.abs(value) / most;
      pen.fillStyle = value > 0 ? above : below;
      pen.fillRect(t * wide, n * tall, wide + 0.5, tall);
    }
  }
  pen.globalAlpha = 1;
  cursor({ pen, width, height });
  return { rows, most };
}

// ---- What is chosen, and what is shown ---------------------------------------------------------

const chosen = { sample: 0, channel: 0, answer: 0, word: 0 };
let program;
let run;
let recorded;
let input;
let isRecorded = true;
let isStale = false;
let waiting = 0;

const digits = (value) => Number(value.toPrecision(4)).toString();

function joules(value) {
  const names = ["J", "mJ", "µJ", "nJ", "pJ", "fJ"];
  let place = 0;
  let size = value;
  while (size !== 0 && Math.abs(size) < 1 && place < names.length - 1) {
    size *= 1000;
    place += 1;
  }
  return `${digits(size)} ${names[place]}`;
}

function showInput() {
  const channel = data.channels[chosen.channel];
  const area = surface(at("input"));
  const values = Array.from({ length: data.samples }, (_, t) => input[t * inputs + chosen.channel]);
  cursor(area);
  stairs(area, values, channel, colour("loihi"));
  const value = values[chosen.sample];
  at("value").value = value;
  at("sample").value = chosen.sample;
  at("input-text").textContent =
    `Sample ${chosen.sample}, ${channel.name}: message ${value}, which stands for ` +
    `${digits(value / channel.gain + channel.offset)}; ` +
    `the range is ${channel.low} to ${channel.high}.`;
}

function showAnswer() {
  const out = data.output;
  const area = surface(at("output"));
  const message = (t) => run.words[t * data.record + out.at + chosen.answer];
  const decode = (value) => value * out.scale[chosen.answer] + out.offset[chosen.answer];
  const found = Array.from({ length: data.samples }, (_, t) => decode(message(t)));
  const expected =
    data.expected && isRecorded
      ? found.map((_, t) => data.expected[t * out.size + chosen.answer])
      : null;
  const range = rangeOf(found, expected || []);
  cursor(area);
  stairs(area, found, range, colour("loihi"));
  if (expected) {
    stairs(area, expected, range, colour("cpu"), [3, 5]);
  }
  const t = chosen.sample;
  at("output-text").textContent =
    `Sample ${t}, answer ${chosen.answer}: message ${message(t)}, which stands for ` +
    `${digits(found[t])}` +
    (expected
      ? `; float ${digits(expected[t])} (orange, dashed). The largest difference is ` +
        `${digits(found.reduce((most, y, i) => Math.max(most, Math.abs(y - expected[i])), 0))}.`
      : ".");
}

function showStates() {
  const word = data.words[chosen.word];
  const { rows, most } = shades(at("states"), word);
  const values = run.words.subarray(
    chosen.sample * data.record + word.at,
    chosen.sample * data.record + word.at + rows,
  );
  const few = rows < word.size ? ` The first ${rows} of ${word.size} neurons are drawn.` : "";
  at("states-text").textContent =
    `A row for each neuron, strongest at ${most}; blue above 0, orange below.${few} At sample ` +
    `${chosen.sample}: ${values.subarray(0, 12).join(", ")}${rows > 12 ? " ..." : "."}`;
}

function tableRow(name, ...cells) {
  const row = document.createElement("tr");
  [name, ...cells].forEach((text, i) => {
    const cell = document.createElement(i ? "td" : "th");
    cell.textContent = text;
    if (i) {
      cell.className = "n";
    }
    row.append(cell);
  });
  return row;
}

// Joules of what a sample has caused: what the profile says of one operation, times the operations.
function dynamic(count) {
  const e = data.energy;
  const spikes = count.messages.slice(1).reduce((sum, n) => sum + n, 0);
  const each = e.per_synaptic_operation + e.per_synaptic_operation_moved;
  return e.constant + spikes * e.per_spike + count.operations * each;
}

function showCounters() {
  const area = surface(at("counts"));
  const operations = run.counts.map((count) => count.operations);
  cursor(area);
  const most = Math.max(...operations, 1);
  stairs(area, operations, { low: 0, high: most }, colour("c-synapses"));
  const now = run.counts[chosen.sample];
  const mean = (value) => run.counts.reduce((sum, c) => sum + value(c), 0) / data.samples;
  const round = (value) => Number(value.toFixed(1)).toLocaleString("en");
  const rows = [tableRow("", "this sample", "mean of all")];
  data.sources.forEach((source, i) => {
    const name = `messages of ${source.name}`;
    rows.push(tableRow(name, round(now.messages[i]), round(mean((c) => c.messages[i]))));
  });
  const work = mean((c) => c.operations);
  rows.push(tableRow("synaptic operations", round(now.operations), round(work)));
  const e = data.energy;
  if (e) {
    rows.push(tableRow("dynamic energy", joules(dynamic(now)), joules(mean(dynamic))));
    rows.push(
      tableRow(
        "total with static power",
        joules(dynamic(now) + e.static),
        joules(mean(dynamic) + e.static),
      ),
    );
  }
  at("table").replaceChildren(...rows);
  at("energy-text").textContent = e
    ? "Messages (those that are not 0) and synaptic operations are counted exactly, and drawn by " +
      `sample. Joules are estimates (${e.tier}) of ${e.label}: nominal figures of the profile, ` +
      "times these counts; arriving messages and hops are taken in proportion to synaptic " +
      "operations. On the profile's own samples a sample has " +
      `${round(e.mean_operations)} synaptic operations and ${joules(e.mean_dynamic)} dynamic.`
    : "Messages (those that are not 0) and synaptic operations are counted exactly, and drawn by " +
      `sample. ${data.reason}`;
}

function show() {
  waiting = 0;
  if (isStale) {
    isStale = false;
    isRecorded = input.every((value, i) => value === recorded[i]);
    run = program.run(input);
  }
  showInput();
  showAnswer();
  showStates();
  showCounters();
}

// However many events there are, the program runs and is drawn once in a frame.
function showSoon() {
  waiting = waiting || requestAnimationFrame(show);
}

function changed() {
  isStale = true;
  showSoon();
}

// ---- What the reader does ----------------------------------------------------------------------

function held(value, low, high) {
  return Math.min(Math.max(Math.round(value), low), high);
}

function put(sample, value) {
  const { low, high } = data.channels[chosen.channel];
  input[sample * inputs + chosen.channel] = held(value, low, high);
}

function fill(valueAt) {
  for (let t = 0; t < data.samples; t += 1) {
    put(t, valueAt(t, data.channels[chosen.channel]));
  }
  changed();
}

function move(sample) {
  chosen.sample = held(sample, 0, data.samples - 1);
  showSoon();
}

// From the last point of a stroke to this one, so that no sample between them is left out.
function drawing() {
  const canvas = at("input");
  let last = null;
  function point(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const { low, high } = data.channels[chosen.channel];
    const share = (height - MARGIN - (event.clientY - top)) / (height - 2 * MARGIN);
    return {
      sample: held(((event.clientX - left) / width) * data.samples - 0.5, 0, data.samples - 1),
      value: low + share * (high - low),
    };
  }
  function stroke(event) {
    const next = point(event);
    const from = last || next;
    const steps = Math.abs(next.sample - from.sample);
    for (let i = 0; i <= steps; i += 1) {
      const share = steps ? i / steps : 1;
      const sample = Math.round(from.sample + share * (next.sample - from.sample));
      put(sample, from.value + share * (next.value - from.value));
    }
    last = next;
    chosen.sample = next.sample;
    changed();
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) {
      stroke(event);
    }
  });
  canvas.addEventListener("keydown", (event) => {
    const { low, high } = data.channels[chosen.channel];
    const by = Math.max((high - low) / 40, 1);
    const value = input[chosen.sample * inputs + chosen.channel];
    const keys = {
      ArrowLeft: () => move(chosen.sample - 1),
      ArrowRight: () => move(chosen.sample + 1),
      ArrowUp: () => put(chosen.sample, value + by),
      ArrowDown: () => put(chosen.sample, value - by),
    };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
      changed();
    }
  });
}

function choices(name, texts, field, then) {
  const select = at(name);
  if (!select) {
    return;
  }
  select.replaceChildren(...texts.map((text, i) => new Option(text, i)));
  select.addEventListener("change", () => {
    chosen[field] = Number(select.value);
    then();
  });
}

function setChannel() {
  const { low, high } = data.channels[chosen.channel];
  Object.assign(at("value"), { min: low, max: high });
  showSoon();
}

// Goes through the samples, once.
function playing() {
  const button = at("play");
  let timer = 0;
  function stop() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  }
  button.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    button.textContent = "Stop";
    chosen.sample = 0;
    timer = setInterval(() => {
      move(chosen.sample + 1);
      if (chosen.sample === data.samples - 1) {
        stop();
      }
    }, 60);
  });
}

function controls() {
  at("sample").max = data.samples - 1;
  at("sample").addEventListener("input", () => move(Number(at("sample").value)));
  at("value").addEventListener("input", () => {
    put(chosen.sample, Number(at("value").value));
    changed();
  });
  at("recorded").addEventListener("click", () => {
    input = recorded.slice();
    changed();
  });
  at("zero").addEventListener("click", () => fill((_, { low, high }) => (low + high) / 2));
  at("sine").addEventListener("click", () =>
    fill((t, { low, high }) => (low + high) / 2 + ((high - low) / 2) * Math.sin(t / 5)),
  );
  choices("channel", data.channels.map((one) => one.name), "channel", setChannel);
  choices("answer", data.output.scale.map((_, i) => `answer ${i}`), "answer", showSoon);
  choices("word", data.words.map((w) => `${w.population}: ${w.word}`), "word", showSoon);
  drawing();
  playing();
  window.addEventListener("resize", showSoon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showSoon);
}

async function start() {
  const check = at("check");
  try {
    const { instance } = await WebAssembly.instantiate(bytesOf(data.module), {});
    program = new Program(instance.exports);
    for (const word of data.words) {
      word.recorded = numbersOf(word.values, TYPES[word.bytes]);
    }
    for (const source of data.sources) {
      source.fanOut = numbersOf(source.fanOut, Int32Array);
    }
    data.expected = data.expected && numbersOf(data.expected, Float64Array);
    recorded = numbersOf(data.inputs, Int32Array);
    input = recorded.slice();
    run = program.run(input);
    const { values, differ } = differences(run.words);
    check.textContent = `${values.toLocaleString("en")} values, ${differ} differ`;
    check.className = differ ? "differs" : "equal";
  } catch (error) {
    check.textContent = `The program does not run in this browser: ${error.message}`;
    check.className = "differs";
    return;
  }
  at("cards").hidden = false;
  controls();
  setChannel();
}

start();
