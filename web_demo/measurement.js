// The page for measurements: takes a CSV, or this device's motion sensor, and shows what the model makes of it over time.

import { openClassifier } from "./classifier.js";
import { announce, find, known, later, say, showClasses, showFacts } from "./page.js";
import { filled, normalized, readMeasurements } from "./series.js";
import { drawTimeline, overLatest, overWindows, switchedBy } from "./timeline.js";

const SHOWN = 20; // windows of the sensor that are shown

const [sense, pick] = [find("sense"), find("pick")];
let classifier;
let sensor;
let windows; // in moments

/** Moments as a duration. */
function duration(moments) {
  const { rate } = classifier.about;
  return rate ? `${(moments / rate).toFixed(1)} s` : `${moments} samples`;
}

function show(scores, looks, moments, { milliseconds }) {
  const { about } = classifier;
  showClasses(about, scores, sensor.running);
  const seen = `${duration(about.length)} at a time, every ${duration(about.hop)}`;
  const channels = about.channels.slice(0, 8).join(", ") + (about.channels.length > 8 ? "…" : "");
  showFacts(about, "series", ["Time", `${milliseconds.toFixed(0)} ms`], ["Seen", seen], ["Channels", channels]);
  drawTimeline(about.class_names, looks, moments, duration, sensor.running && windows);
}

/** What the model makes of raw samples. */
function look(samples) {
  const { normalization, channels } = classifier.about;
  return classifier.predict(normalized(samples, normalization, channels.length));
}

async function read(file) {
  const { about } = classifier;
  const { length, channels, fill } = about;
  const width = channels.length;
  say("Reading…");
  await later();
  let values;
  try {
    values = readMeasurements(await file.text(), channels);
    if (!values.length) throw new Error("it has no rows");
  } catch (error) {
    say(`${file.name} cannot be read: ${error.message}.`, true);
    return;
  }
  const moments = values.length / width;
  const { looks, mean, last } = await overWindows(moments, windows, async (start) => {
    const there = values.subarray(start * width, (start + length) * width);
    const samples = filled(there, length, width, fill);
    const seen = await look(samples);
    announce(about, { file: file.name, start, samples, ...seen });
    return seen;
  }, about.rejection);
  show(mean, looks, Math.max(moments, length), last);
  announce(about, { file: file.name, scores: mean, windows: looks.length });
}

/** What a motion event says, in the units and the order of the model's channels; undefined where there is no sensor. */
function momentOf({ accelerationIncludingGravity: force, rotationRate: turn }) {
  const { channels, motion } = classifier.about;
  const forces = [force?.x, force?.y, force?.z].map((value) => (value ?? NaN) * motion.acceleration);
  const turns = [turn?.alpha, turn?.beta, turn?.gamma].map((value) => (value ?? NaN) * motion.rotation);
  const moment = channels.length === 3 ? forces : [...forces, ...turns];
  return moment.some(Number.isNaN) ? undefined : moment;
}

/** Takes the sensor's events at the model's rate. */
function watcher() {
  const { channels, rate } = classifier.about;
  const take = overLatest(windows, channels.length, look, sensed);
  let due;
  return (event) => {
    const moment = momentOf(event);
    if (!moment) return;
    if (due === undefined || !rate) due = event.timeStamp;
    for (; due <= event.timeStamp; due += rate ? 1000 / rate : Infinity) take(moment);
  };
}

/** Shows what the latest moments are. */
function sensed({ answer, samples, moments, smoothed, looks }) {
  if (!sensor.running) return;
  show(smoothed, looks, moments, answer);
  announce(classifier.about, { moments, samples, smoothed, ...answer });
}

/** Reads the sensor until what it returns is called. */
async function open() {
  const granted = await DeviceMotionEvent.requestPermission?.(); // Safari asks
  if (granted === "denied") throw new Error("it was denied");
  const watch = watcher();
  addEventListener("devicemotion", watch);
  return () => removeEventListener("devicemotion", watch);
}

async function take(file) {
  if (!file || pick.disabled) return;
  sensor.stop();
  find("status").setAttribute("aria-live", "polite");
  sense.disabled = pick.disabled = true;
  await read(file);
  sense.disabled = pick.disabled = false;
}

try {
  classifier = await openClassifier();
  const { about } = classifier;
  windows = { length: about.length, hop: about.hop, shown: SHOWN * about.length };
  find("about").textContent = `${known(about)} The measurement stays on this device.`;
  sense.hidden = !("DeviceMotionEvent" in window && [3, 6].includes(about.channels.length));
  const words = { waiting: "Waiting for the sensor…", missing: "There is no motion sensor for this page" };
  sensor = switchedBy(sense, words, open);
  pick.addEventListener("change", async () => {
    await take(pick.files[0]);
    pick.value = ""; // the same file may be picked again
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // else the browser leaves the page for the file
      find("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files[0]);
    });
  }
  sense.disabled = pick.disabled = false;
  say("Ready.");
} catch (error) {
  console.error(error);
  say(error.message, true);
}
