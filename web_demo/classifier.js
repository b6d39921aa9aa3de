// The model in the browser: LiteRT.js on pixels of preprocess.js, token ids of wordpiece.js, sound, or measurements.

import { latest } from "./update.js";

/**
 * Loads the model that model.json describes. `predict` takes pixels as a Uint8Array, token ids as an Int32Array, or a
 * Float32Array: samples of sound, spectrograms of log_mel.js, or what series.js reads.
 *
 * `predict` resolves to `scores` and `milliseconds`, and what `unlikeness` returns.
 *
 * @returns {Promise<{about: object, predict: (item: TypedArray) => Promise<{scores: Float32Array, milliseconds: number}>}>}
 */
export async function openClassifier() {
  const [about, runtime] = await Promise.all([fetched("model.json", "json"), loadRuntime()]);
  const content = new Uint8Array(await fetched(about.file, "arrayBuffer"));
  const model = await runtime.loadAndCompile(content, { accelerator: "wasm" });
  const { shape, dtype } = about.input;

  async function predict(item) {
    const started = performance.now();
    const input = new runtime.Tensor(prepared(item, about.input), shape);
    const outputs = await model.run(input);
    const raw = (await outputs[0].data()).slice();
    const score = about.rejection ? (await outputs[1].data())[0] : 0;
    const milliseconds = performance.now() - started;
    for (const tensor of [input, ...outputs]) tensor.delete();
    return { scores: probabilities(raw, about.output), milliseconds, ...unlikeness(score, about.rejection) };
  }

  // The first run is slower than all others.
  const values = shape.reduce((product, side) => product * side) * (about.input.channels === 1 ? 3 : 1);
  const Values = dtype === "int32" ? Int32Array : about.image_size ? Uint8Array : Float32Array;
  await predict(new Values(values));
  return { about, predict };
}

/** What the input tensor takes: token ids and floats as they are or quantized, R G B as bytes or normalized floats, or luma. */
export function prepared(values, input) {
  if (values instanceof Int32Array) return values;
  if (values instanceof Float32Array) return input.dtype === "float32" ? values : quantized(values, input);
  return ofPixels(values, input);
}

function quantized(values, { scale, zero_point }) {
  const step = Math.fround(scale);
  const byte = (value) => rounded(Math.fround(value / step)) + zero_point;
  return Uint8Array.from(values, (value) => Math.min(255, Math.max(0, byte(value))));
}

/** A whole number, of halves the even neighbour, as in Python. */
function rounded(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

/** The bytes of rows of R G B themselves, or normalized floats; or the same of their luma. */
function ofPixels(rgb, input) {
  const pixels = input.channels === 1 ? luma(rgb) : rgb;
  if (input.dtype === "uint8") return pixels;
  const { mean, std } = input;
  return Float32Array.from(pixels, (byte, i) => Math.fround(byte - mean[i % mean.length]) / std[i % std.length]);
}

/** One channel of rows of R G B, in Pillow's arithmetic: `luma` of keras_transfer/modalities/image/decode.py. */
export function luma(rgb) {
  return Uint8Array.from({ length: rgb.length / 3 }, (_, i) => {
    const [red, green, blue] = rgb.subarray(3 * i, 3 * i + 3);
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
  });
}

/** Dequantized, in 32-bit floats as Python does it; the one unit of a binary head becomes two classes. */
export function probabilities(raw, output) {
  const { scale, zero_point } = output;
  const values = Float32Array.from(raw, (value) => (scale === null ? value : (value - zero_point) * Math.fround(scale)));
  return values.length === 1 ? Float32Array.of(1 - values[0], values[0]) : values;
}

/**
 * How unlike all classes an item is: the score, 0..1 (the share of validation items that are less so), and whether it
 * is none of them; nothing where the model has no such score. In 32-bit floats, as Python has it.
 */
export function unlikeness(raw, rejection) {
  if (!rejection) return {};
  const { scale, zero_point } = rejection;
  return judged(scale === null ? raw : Math.fround((raw - zero_point) * Math.fround(scale)), rejection);
}

/** The same of a score. */
export function judged(score, { threshold, reference }) {
  const below = reference.filter((other) => other < score).length;
  return { score, unlikeness: below / Math.max(1, reference.length), rejected: score > threshold };
}

async function loadRuntime() {
  let runtime;
  try {
    runtime = await import("./litert/core.js");
  } catch (cause) {
    const sentence = "The runtime is missing: run “npm ci” in this page's folder, which fills litert/ (see README.md).";
    throw new Error(sentence, { cause });
  }
  await runtime.loadLiteRt(new URL("litert/wasm/", document.baseURI).href);
  return runtime;
}

let updated; // what a signed update has in place of this folder's files

/** A file of this folder, or of a signed update of it: `kind` is "json", "text" or "arrayBuffer". */
export async function fetched(name, kind) {
  const newer = (await (updated ??= update())).get(name);
  if (newer) return new Response(newer)[kind]();
  const response = await fetch(name).catch(() => undefined);
  if (!response?.ok) {
    throw new Error(`${name} is missing: this folder is made by “keras-transfer export RUN --target web”.`);
  }
  return response[kind]();
}

/** The files of the newest update, where this folder's model.json says whom it trusts: `updates: {from, key}`. */
async function update() {
  const own = await fetch("model.json").catch(() => undefined);
  const { updates } = own?.ok ? await own.json() : {};
  return (updates && (await latest(updates))) ?? new Map();
}
