// The page for sounds: listens to the microphone, or takes a recording, and shows what the model hears, over time.

import { openClassifier } from "./classifier.js";
import { LogMel } from "./log_mel.js";
import { announce, find, known, later, say, showClasses, showFacts } from "./page.js";
import { drawTimeline, overLatest, overWindows, switchedBy } from "./timeline.js";

const HOP = 0.25; // seconds from one look of the model to the next
const SHOWN = 30; // seconds of the microphone that are shown

const [listen, pick] = [find("listen"), find("pick")];
let classifier;
let microphone;
let windows; // in samples

/** What the model makes of a clip of its own length. */
async function hear(clip, spectrograms) {
  const started = performance.now();
  const input = spectrograms ? spectrograms.spectrogram(clip) : clip;
  const preparing = performance.now() - started;
  return { preparing, ...(await classifier.predict(input)) };
}

function show(scores, looks, samples, { preparing, milliseconds }) {
  const { about } = classifier;
  showClasses(about, scores, microphone.running);
  const time = `${milliseconds.toFixed(0)} ms for the model, ${preparing.toFixed(0)} ms for the spectrogram`;
  const heard = `${(about.samples / about.sample_rate).toFixed(1)} s at a time, every ${HOP} s`;
  showFacts(about, "recordings", ["Time", time], ["Heard", heard]);
  const duration = (count) => `${(count / about.sample_rate).toFixed(0)} s`;
  const live = microphone.running && windows;
  drawTimeline(about.class_names, looks, samples, duration, live); // once it is to be seen, and has a width
}

async function read(file, spectrograms) {
  const { about } = classifier;
  const { samples, sample_rate: rate } = about;
  say("Listening to the recording…");
  await later();
  let sound;
  try {
    sound = mono(await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer()));
  } catch {
    say(`This browser cannot read ${file.name} as a recording. Try a WAV, MP3 or OGG.`, true);
    return;
  }
  const { looks, mean, last } = await overWindows(sound.length, windows, async (start) => {
    const clip = new Float32Array(samples); // what is shorter is filled up with silence on both sides
    clip.set(sound.subarray(start, start + samples), Math.max(0, samples - sound.length) >> 1);
    const heard = await hear(clip, spectrograms);
    announce(about, { file: file.name, seconds: start / rate, samples: clip, ...heard });
    return heard;
  }, about.rejection);
  show(mean, looks, Math.max(sound.length, samples), last);
  announce(about, { file: file.name, scores: mean, windows: looks.length });
}

function mono(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  return channels.length === 1
    ? channels[0]
    : channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

/** Opens the microphone, and hears what it hears until what it returns is called. */
async function open(spectrograms) {
  const { sample_rate: rate } = classifier.about;
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  const context = new AudioContext({ sampleRate: rate }); // which resamples
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    context.close();
  };
  try {
    await context.audioWorklet.addModule("./microphone.js");
    const node = new AudioWorkletNode(context, "microphone", { channelCount: 1, channelCountMode: "explicit" });
    context.createMediaStreamSource(stream).connect(node);
    const take = overLatest(windows, 1, (clip) => hear(clip, spectrograms), heard);
    node.port.onmessage = ({ data }) => microphone.running && take(data);
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** Shows what was heard in the latest samples. */
function heard({ answer, samples, moments, smoothed, looks }) {
  if (!microphone.running) return;
  const { about } = classifier;
  show(smoothed, looks, moments, answer);
  announce(about, { seconds: moments / about.sample_rate, samples, smoothed, ...answer });
}

try {
  classifier = await openClassifier();
  const { about } = classifier;
  const { samples, sample_rate: rate } = about;
  windows = { length: samples, hop: HOP * rate, shown: SHOWN * rate };
  const spectrograms = about.front_end && new LogMel(about.front_end);
  find("about").textContent = `${known(about)} The sound stays on this device.`;
  const words = { waiting: "Listening…", missing: "There is no microphone for this page" };
  microphone = switchedBy(listen, words, () => open(spectrograms));
  pick.addEventListener("change", async () => {
    const [file] = pick.files;
    microphone.stop();
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
