// From a CSV of measurements, a row for each moment, to what a model is given, as keras_transfer/modalities/series does it.

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const BESIDE = /^(|#|t|time.*|elapsed.*|date.*|index|samples?|row|id|unnamed.*)$/i; // what is no channel
const EPSILON = 1e-6; // of preparer.py

/**
 * The samples of a CSV, those of each moment together, in the order of a model's channels: by their names in its first
 * row, or else as the columns stand.
 *
 * @param {string} text separated by commas, semicolons, tabs, | or blanks; with a decimal point, or a decimal comma
 * @param {string[]} channels
 * @returns {Float32Array}
 * @throws a sentence on what is wrong with it
 */
export function readMeasurements(text, channels) {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/).map((line, i) => ({ line: line.trim(), number: i + 1 }));
  const kept = lines.filter(({ line }) => line && !"#%@".includes(line[0]));
  if (!kept.length) throw new Error("it is empty");
  const mark = [..."\t;|,"].find((sign) => kept[kept.length >> 1].line.includes(sign)) ?? /\s+/;
  const rows = kept.map(({ line, number }) => ({ number, cells: line.split(mark).map((cell) => cell.trim().replace(/^"|"$/g, "")) }));
  if (rows.every(({ cells }) => cells.at(-1) === "")) for (const { cells } of rows) cells.pop();
  const heading = rows[0].cells.every((cell) => NUMBER.test(pointed(cell))) ? undefined : rows.shift().cells;
  const places = placesOf(channels, heading, rows[0]?.cells.length ?? 0);
  const values = new Float32Array(rows.length * channels.length);
  rows.forEach(({ number, cells }, moment) =>
    places.forEach((place, i) => {
      const cell = pointed(cells[place] ?? "");
      if (!NUMBER.test(cell)) throw new Error(`line ${number} has no number for ${channels[i]}`);
      values[moment * channels.length + i] = Number(cell);
    }),
  );
  return values;
}

/** Samples of all moments that a series is to have: missing ones at the end are each channel's mean, its last, or zero. */
export function filled(there, length, width, fill) {
  const samples = new Float32Array(length * width);
  samples.set(there);
  const moments = there.length / width;
  for (let i = there.length; i < samples.length && fill !== "zero"; i++) {
    let sum = 0;
    for (let at = i % width; at < there.length; at += width) sum += there[at];
    samples[i] = fill === "edge" ? samples[i - width] : sum / moments;
  }
  return samples;
}

/**
 * What a file takes that begins behind the normalization of its network.
 *
 * @param {Float32Array} samples
 * @param normalization mean and deviation of each channel; "window", where each series has its own; null of raw samples
 * @param {number} width channels
 */
export function normalized(samples, normalization, width) {
  if (!normalization) return samples;
  const known = normalization === "window" ? momentsOf(samples, width) : normalization;
  const [means, deviations] = [0, 1].map((i) => known.map((pair) => Math.fround(pair[i])));
  return samples.map((value, i) => Math.fround(value - means[i % width]) / deviations[i % width]);
}

/** Mean and deviation of each channel of a series. */
function momentsOf(samples, width) {
  return Array.from({ length: width }, (_, channel) => {
    const own = samples.filter((_, i) => i % width === channel);
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    const square = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length;
    return [mean, Math.sqrt(square + EPSILON)];
  });
}

const pointed = (cell) => cell.replace(",", ".");

/** Where the channels stand in a row. */
function placesOf(channels, heading, width) {
  const named = channels.map((name) => heading?.indexOf(name) ?? -1);
  if (!named.includes(-1)) return named;
  const columns = heading ?? Array.from({ length: width }, (_, i) => `column ${i + 1}`);
  const places = [...columns.keys()].filter((i) => !BESIDE.test(columns[i]));
  if (places.length === channels.length) return places;
  throw new Error(`the model takes ${channels.join(", ")}; the file has ${columns.join(", ")}`);
}
