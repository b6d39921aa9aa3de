// The page for measurements: takes a CSV, or this device's motion sensor, and shows what the model makes of it over time.

import { openClassifier } from "./classifier.js";
import { find, known, later, say, showClasses, showFacts } from "./page.js";
import { filled, normalized, readMeasurements } from "./series.js";
import { drawTimeline } from "./timeline.js";

const MEMORY = 0.5; // how much of what is shown live was seen before: against single wrong answers
const SHOWN = 20; // windows of the sensor that are shown

const [sense, pick] = [find("sense"), find("pick")];
let classifier;
let stop; // the sensor, if it is read
let looks = []; // {at, scores}, in moments

/** Moments as a duration. */
function duration(moments) {
  const { rate } = classifier.about;
  return rate ? `${(moments / rate).toFixed(1)} s` : `${moments} samples`;
}

function show(scores, end, { milliseconds }) {
  const { about } = classifier;
  showClasses(about, scores, Boolean(stop));
  const seen = `${duration(about.length)} at a time, every ${duration(about.hop)}`;
  const channels = about.channels.slice(0, 8).join(", ") + (about.channels.length > 8 ? "…" : "");
  showFacts(about, "series", ["Time", `${milliseconds.toFixed(0)} ms`], ["Seen", seen], ["Channels", channels]);
  const most = SHOWN * about.length;
  const begin = stop ? Math.max(0, end - most) : 0;
  drawTimeline(about.class_names, looks, looks[0].at - (stop ? about.hop : looks[0].at), begin, stop ? Math.max(most, end) : end);
  find("caption").textContent = `Scores over ${duration(end - begin)}`;
}

/** For whoever puts the page into something larger, and for the tests. */
function announce(detail) {
  document.dispatchEvent(new CustomEvent("classified", { detail: { ...detail, classNames: classifier.about.class_names } }));
}

/** What the model makes of raw samples. */
function look(samples) {
  const { normalization, channels } = classifier.about;
  return classifier.predict(normalized(samples, normalization, channels.length));
}

async function read(file) {
  const { length, hop, channels, fill, class_names: names } = classifier.about;
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
  const sums = new Float32Array(names.length);
  looks = [];
  let seen;
  for (let start = 0; start === 0 || start + length <= moments; start += hop) {
    const there = values.subarray(start * width, (start + length) * width);
    const samples = filled(there, length, width, fill);
    seen = await look(samples);
    seen.scores.forEach((score, i) => (sums[i] += score));
    looks.push({ at: start + length, scores: seen.scores });
    announce({ file: file.name, start, samples, ...seen });
  }
  const mean = sums.map((sum) => sum / looks.length);
  show(mean, Math.max(moments, length), seen);
  announce({ file: file.name, scores: mean, windows: looks.length });
}

/** What a motion event says, in the units and the order of the model's channels; undefined where there is no sensor. */
function momentOf({ accelerationIncludingGravity: force, rotationRate: turn }) {
  const { channels, motion } = classifier.about;
  const forces = [force?.x, force?.y, force?.z].map((value) => (value ?? NaN) * motion.acceleration);
  const turns = [turn?.alpha, turn?.beta, turn?.gamma].map((value) => (value ?? NaN) * motion.rotation);
  const moment = channels.length === 3 ? forces : [...forces, ...turns];
  return moment.some(Number.isNaN) ? undefined : moment;
}

/** Takes the sensor's events at the model's rate and runs the model on the latest, as often as it is to and can. */
function watcher() {
  const { length, channels, rate, hop } = classifier.about;
  const recent = new Float32Array(length * channels.length);
  let [moments, next, due, busy, smoothed] = [0, length, undefined, false, undefined];
  looks = [];
  return async (event) => {
    const moment = momentOf(event);
    if (!moment) return;
    if (due === undefined || !rate) due = event.timeStamp;
    for (; due <= event.timeStamp; due += rate ? 1000 / rate : Infinity) {
      recent.copyWithin(0, moment.length);
      recent.set(moment, recent.length - moment.length);
      moments++;
    }
    if (busy || moments < next) return;
    busy = true;
    const [samples, at] = [recent.slice(), moments];
    next = moments + hop;
    const answer = await look(samples);
    busy = false;
    if (!stop) return;
    smoothed = smoothed ? answer.scores.map((score, i) => (1 - MEMORY) * score + MEMORY * smoothed[i]) : answer.scores;
    looks = [...looks.filter((one) => one.at > at - SHOWN * length), { at, scores: smoothed }];
    show(smoothed, at, answer);
    announce({ moments: at, samples, smoothed, ...answer });
  };
}

async function open() {
  const granted = await DeviceMotionEvent.requestPermission?.(); // Safari asks
  if (granted === "denied") throw new Error("it was denied");
  const watch = watcher();
  addEventListener("devicemotion", watch);
  stop = () => {
    removeEventListener("devicemotion", watch);
    stop = undefined;
    sense.textContent = "Use this device's sensor";
  };
}

async function take(file) {
  if (!file || pick.disabled) return;
  if (stop) stop();
  find("status").setAttribute("aria-live", "polite");
  sense.disabled = pick.disabled = true;
  await read(file);
  sense.disabled = pick.disabled = false;
}

try {
  classifier = await openClassifier();
  const { about } = classifier;
  find("about").textContent = `${known(about)} The measurement stays on this device.`;
  sense.hidden = !("DeviceMotionEvent" in window && [3, 6].includes(about.channels.length));
  sense.addEventListener("click", async () => {
    if (stop) {
      stop();
      return;
    }
    say("Waiting for the sensor…");
    find("status").setAttribute("aria-live", "off"); // it changes too often to be read aloud
    try {
      await open();
      sense.textContent = "Stop";
    } catch (error) {
      say(`There is no motion sensor for this page (${error.message}).`, true);
    }
  });
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
