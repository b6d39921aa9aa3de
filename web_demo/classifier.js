// The model in the browser: LiteRT.js on pixels that preprocess.js made, or token ids of wordpiece.js.

/**
 * Loads the model that model.json describes. `predict` takes pixels as a Uint8Array, or token ids as an Int32Array.
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
    const input = new runtime.Tensor(dtype === "int32" ? item : prepared(item, about.input), shape);
    const outputs = await model.run(input);
    const raw = (await outputs[0].data()).slice();
    const milliseconds = performance.now() - started;
    for (const tensor of [input, ...outputs]) tensor.delete();
    return { scores: probabilities(raw, about.output), milliseconds };
  }

  // The first run is slower than all others.
  await predict(dtype === "int32" ? new Int32Array(shape[1]) : new Uint8Array(shape[1] * shape[2] * 3));
  return { about, predict };
}

/** What the input tensor takes of rows of R G B: the bytes themselves, or normalized floats; or the same of their luma. */
export function prepared(rgb, input) {
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

/** A file of this folder: `kind` is "json", "text" or "arrayBuffer". */
export async function fetched(name, kind) {
  const response = await fetch(name).catch(() => undefined);
  if (!response?.ok) {
    throw new Error(`${name} is missing: this folder is made by “keras-transfer export RUN --target web”.`);
  }
  return response[kind]();
}
