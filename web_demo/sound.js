// The page for sounds: listens to the microphone, or takes a recording, and shows what the model hears, over time.

import { openClassifier } from "./classifier.js";
import { LogMel } from "./log_mel.js";
import { find, known, later, say, showClasses, showFacts } from "./page.js";
import { drawTimeline } from "./timeline.js";

const HOP = 0.25; // seconds from one look of the model to the next
const MEMORY = 0.5; // how much of what is shown live was heard before: against single wrong answers
const SHOWN = 30; // seconds of the microphone that are shown

const [listen, pick] = [find("listen"), find("pick")];
let classifier;
let stop; // the microphone, if it is open
let timeline = []; // {at, scores}, in seconds

/** What the model makes of a clip of its own length. */
async function hear(clip, spectrograms) {
  const started = performance.now();
  const input = spectrograms ? spectrograms.spectrogram(clip) : clip;
  const preparing = performance.now() - started;
  return { preparing, ...(await classifier.predict(input)) };
}

function show(scores, seconds, { preparing, milliseconds }) {
  const { about } = classifier;
  showClasses(about, scores, Boolean(stop));
  const time = `${milliseconds.toFixed(0)} ms for the model, ${preparing.toFixed(0)} ms for the spectrogram`;
  const heard = `${(about.samples / about.sample_rate).toFixed(1)} s at a time, every ${HOP} s`;
  showFacts(about, "recordings", ["Time", time], ["Heard", heard]);
  draw(seconds); // once it is to be seen, and so has a width
}

/** For whoever puts the page into something larger, and for the tests. */
function announce(detail) {
  document.dispatchEvent(new CustomEvent("classified", { detail: { ...detail, classNames: classifier.about.class_names } }));
}

async function read(file, spectrograms) {
  const { samples, sample_rate: rate } = classifier.about;
  say("Listening to the recording…");
  await later();
  let sound;
  try {
    sound = mono(await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer()));
  } catch {
    say(`This browser cannot read ${file.name} as a recording. Try a WAV, MP3 or OGG.`, true);
    return;
  }
  timeline = [];
  const sums = new Float32Array(classifier.about.class_names.length);
  let heard;
  for (let start = 0; start === 0 || start + samples <= sound.length; start += HOP * rate) {
    const clip = new Float32Array(samples); // what is shorter is filled up with silence on both sides
    clip.set(sound.subarray(start, start + samples), Math.max(0, samples - sound.length) >> 1);
    heard = await hear(clip, spectrograms);
    heard.scores.forEach((score, i) => (sums[i] += score));
    timeline.push({ at: (start + samples) / rate, scores: heard.scores });
    announce({ file: file.name, seconds: start / rate, samples: clip, ...heard });
  }
  const mean = sums.map((sum) => sum / timeline.length);
  show(mean, Math.max(sound.length, samples) / rate, heard);
  announce({ file: file.name, scores: mean, windows: timeline.length });
}

function mono(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  return channels.length === 1
    ? channels[0]
    : channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

/** Opens the microphone, and hears what it hears until `stop` is called. */
async function open(spectrograms) {
  const { samples, sample_rate: rate } = classifier.about;
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  const context = new AudioContext({ sampleRate: rate }); // which resamples
  stop = () => {
    for (const track of stream.getTracks()) track.stop();
    context.close();
    stop = undefined;
    listen.textContent = "Listen";
  };
  try {
    await context.audioWorklet.addModule("./microphone.js");
    const node = new AudioWorkletNode(context, "microphone", { channelCount: 1, channelCountMode: "explicit" });
    context.createMediaStreamSource(stream).connect(node);
    node.port.onmessage = ear(samples, rate, spectrograms);
  } catch (error) {
    stop();
    throw error;
  }
}

/** Takes the microphone's samples and runs the model on the latest of them, as often as it is to and can. */
function ear(samples, rate, spectrograms) {
  const recent = new Float32Array(samples);
  let [heard, next, busy, smoothed] = [0, samples, false, undefined];
  timeline = [];
  return async ({ data }) => {
    recent.copyWithin(0, data.length);
    recent.set(data, samples - data.length);
    heard += data.length;
    if (busy || heard < next || !stop) return;
    busy = true;
    next = heard + HOP * rate;
    const [clip, seconds] = [recent.slice(), heard / rate];
    const answer = await hear(clip, spectrograms);
    busy = false;
    if (!stop) return;
    smoothed = smoothed
      ? answer.scores.map((score, i) => (1 - MEMORY) * score + MEMORY * smoothed[i])
      : answer.scores;
    timeline = [...timeline.filter(({ at }) => at > seconds - SHOWN), { at: seconds, scores: smoothed }];
    show(smoothed, seconds, answer);
    announce({ seconds, samples: clip, smoothed, ...answer });
  };
}

/** Draws what was heard up to `end`, of the microphone the last of it. */
function draw(end) {
  const begin = stop ? Math.max(0, end - SHOWN) : 0;
  const first = stop ? timeline[0].at - HOP : 0;
  drawTimeline(classifier.about.class_names, timeline, first, begin, stop ? Math.max(SHOWN, end) : end);
  find("caption").textContent = `Scores over ${(end - begin).toFixed(0)} s`;
}

try {
  classifier = await openClassifier();
  const { about } = classifier;
  const spectrograms = about.front_end && new LogMel(about.front_end);
  find("about").textContent = `${known(about)} The sound stays on this device.`;
  listen.addEventListener("click", async () => {
    if (stop) {
      stop();
      return;
    }
    say("Listening…");
    find("status").setAttribute("aria-live", "off"); // it changes too often to be read aloud
    listen.disabled = pick.disabled = true; // while the browser asks for the microphone
    try {
      await open(spectrograms);
      listen.textContent = "Stop";
    } catch (error) {
      say(`There is no microphone for this page (${error.message}).`, true);
    }
    listen.disabled = pick.disabled = false;
  });
  pick.addEventListener("change", async () => {
    const [file] = pick.files;
    if (stop) stop();
    find("status").setAttribute("aria-live", "polite");
    listen.disabled = pick.disabled = true;
    if (file) await read(file, spectrograms);
    pick.value = ""; // the same recording may be picked again
    listen.disabled = pick.disabled = false;
  });
  listen.disabled = pick.disabled = false;
  say("Ready.");
} catch (error) {
  console.error(error);
  say(error.message, true);
}
