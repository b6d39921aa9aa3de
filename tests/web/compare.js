// node compare.js preprocess FOLDER: names the golden cases whose pixels differ, one a line.
// node compare.js input FOLDER: the same for what the model takes.
// node compare.js ids FOLDER: the golden sentences whose ids differ.
// node compare.js log_mel FOLDER: the largest difference of the golden clips' spectrograms.
// node compare.js series FOLDER: the golden series whose input differs.
// node compare.js window FILE WIDTH: samples of a series normalized by itself, in base64.
// node compare.js csv FILE CHANNEL...: the samples of a CSV in base64, or what is wrong with it.
// node compare.js updates FOLDER: the golden manifests of which update.js says something else.
// node compare.js log FOLDER: the golden predictions whose line differs.
// node compare.js orientation FILE...: what decode.js reads as EXIF orientation of each file, one a line.

import { readFileSync } from "node:fs";

import { prepared } from "../../web_demo/classifier.js";
import { findOrientation } from "../../web_demo/decode.js";
import { Log, lineOf } from "../../web_demo/log.js";
import { LogMel } from "../../web_demo/log_mel.js";
import { preprocess } from "../../web_demo/preprocess.js";
import { normalized, readMeasurements } from "../../web_demo/series.js";
import { checkFile, readUpdate } from "../../web_demo/update.js";
import { WordPiece } from "../../web_demo/wordpiece.js";

const [what, ...paths] = process.argv.slice(2);
if (what === "preprocess" || what === "input") {
  const [folder] = paths;
  const inputs = what === "input";
  const model = inputs ? readFileSync(`${folder}/model.csv`, "utf8") : "";
  const input = { dtype: "uint8", channels: Number(/^input_channels,(.)/m.exec(model)?.[1]) };
  const [heading, ...rows] = readFileSync(`${folder}/cases.csv`, "utf8").trim().split("\n");
  for (const row of rows) {
    const cells = row.split(",");
    const value = (column) => cells[heading.split(",").indexOf(column)];
    const [name, mode, interpolation] = ["name", "mode", "interpolation"].map(value);
    const [crop, padding] = ["crop", "padding"].map(value).map(Number);
    const stored = ["width", "height", "orientation", "out_width", "out_height"].map(value).map(Number);
    const rgb = readFileSync(`${folder}/${name}.rgb`);
    const pixels = preprocess(rgb, ...stored, { mode, crop, interpolation, padding });
    const made = inputs ? prepared(pixels, input) : pixels;
    if (!readFileSync(`${folder}/${name}.${inputs ? "input" : "pixels"}`).equals(made)) console.log(row);
  }
  console.log(`${rows.length} cases`);
} else if (what === "ids") {
  const [folder] = paths;
  const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
  const settings = Object.fromEntries(read("tokenizer.csv").trim().split("\n").map((line) => line.split(",")));
  const modes = [settings.lowercase, settings.strip_accents].map((value) => value === "true");
  const tokenizer = new WordPiece(read("vocab.txt"), read("characters.txt"), ...modes);
  const [, ...rows] = read("sentences.csv").trim().split("\n");
  for (const row of rows) {
    const [hex, ids, encoded] = row.split(",");
    const text = Buffer.from(hex, "hex").toString("utf8");
    const made = [tokenizer.ids(text), tokenizer.encode(text, Number(settings.length))].map((all) => all.join(" "));
    if (made[0] !== ids || made[1] !== encoded) console.log(row);
  }
  console.log(`${rows.length} sentences`);
} else if (what === "updates") {
  const [folder] = paths;
  const read = (name) => new Uint8Array(readFileSync(`${folder}/${name}`));
  const key = readFileSync(`${folder}/key.txt`, "utf8");
  const reason = (error) => error.reason ?? String(error);
  const [, ...rows] = readFileSync(`${folder}/cases.csv`, "utf8").trim().split("\n");
  for (const row of rows) {
    const [name, app, since, verdict] = row.split(",");
    const found = await readUpdate(read(`${name}.update`), key, Number(app), Number(since)).catch(reason);
    const same = typeof found === "string" ? found === verdict : verdict === "ok" && found.labels.length === 5;
    if (!same) console.log(row, found);
    if (verdict !== "ok") continue;
    const file = found.files.find((each) => each.name === "model.tflite");
    await checkFile(file, read("file.bytes"));
    if ((await checkFile(file, read("torn.bytes")).catch(reason)) !== "damaged") console.log(`${name} torn`);
  }
  console.log(`${rows.length} manifests`);
} else if (what === "log") {
  const [folder] = paths;
  const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
  const lines = read("lines.jsonl").trimEnd().split("\n");
  const known = (cell) => (cell === "" ? undefined : Number(cell));
  const [, ...rows] = read("entries.csv").trimEnd().split("\n");
  const stored = new Map();
  const store = { getItem: (name) => stored.get(name) ?? null, setItem: (name, text) => stored.set(name, text) };
  const log = new Log("log", { store, most: 2000 });
  rows.forEach((row, i) => {
    const [time, model, score, ms, pairs] = row.split(",");
    const top = pairs.split(" ").map((pair) => pair.split(":"));
    const named = top.map(([hex, value]) => [Buffer.from(hex, "hex").toString("utf8"), Number(value)]);
    const entry = { time: known(time), model, top: named, score: known(score), ms: known(ms) };
    if (lineOf(entry) !== lines[i]) console.log(row, lineOf(entry), lines[i]);
    log.add(entry);
  });
  const kept = log.text.trimEnd().split("\n");
  if (log.text.length > 2000 || kept.join() !== lines.slice(-kept.length).join()) console.log("kept", log.text);
  console.log(`${rows.length} lines`);
} else if (what === "log_mel") {
  const [folder] = paths;
  const spectrograms = new LogMel(JSON.parse(readFileSync(`${folder}/front_end.json`, "utf8")));
  const [, ...rows] = readFileSync(`${folder}/clips.csv`, "utf8").trim().split("\n");
  let largest = 0;
  for (const row of rows) {
    const [name, samples, frames, mels] = row.split(",");
    const read = (kind) => readFileSync(`${folder}/${name}.${kind}`);
    const [clip, expected] = [read("samples"), read("log_mel")];
    const made = spectrograms.spectrogram(Float32Array.from({ length: samples }, (_, i) => clip.readInt16LE(2 * i) / 32768));
    if (made.length !== frames * mels) throw new Error(row);
    made.forEach((value, i) => (largest = Math.max(largest, Math.abs(value - expected.readFloatLE(4 * i)))));
  }
  console.log(largest);
} else if (what === "series") {
  const [folder] = paths;
  const [, ...known] = readFileSync(`${folder}/normalization.csv`, "utf8").trim().split("\n");
  const pairs = known.map((row) => row.split(",").map(Number));
  const [, ...rows] = readFileSync(`${folder}/series.csv`, "utf8").trim().split("\n");
  for (const row of rows) {
    const [name, dtype, scale, zero_point] = row.split(",");
    const samples = new Float32Array(Uint8Array.from(readFileSync(`${folder}/${name}.samples`)).buffer);
    const made = prepared(normalized(samples, pairs.length ? pairs : null, pairs.length), { dtype, scale: Number(scale), zero_point: Number(zero_point) });
    if (!readFileSync(`${folder}/${name}.input`).equals(Buffer.from(made.buffer))) console.log(row);
  }
  console.log(`${rows.length} series`);
} else if (what === "window") {
  const samples = new Float32Array(Uint8Array.from(readFileSync(paths[0])).buffer);
  console.log(Buffer.from(normalized(samples, "window", Number(paths[1])).buffer).toString("base64"));
} else if (what === "csv") {
  const [path, ...channels] = paths;
  try {
    console.log(Buffer.from(readMeasurements(readFileSync(path, "utf8"), channels).buffer).toString("base64"));
  } catch (error) {
    console.log(error.message);
  }
} else {
  for (const path of paths) console.log(findOrientation(readFileSync(path)).orientation);
}
