// Scores over time, as the pages for sounds and measurements make and show them. A moment is a sample of each channel.

import { judged } from "./classifier.js";
import { find, say } from "./page.js";

const MEMORY = 0.5; // how much of what is shown live was there before: against single wrong answers
const ROWS = 6; // classes that are shown

/**
 * Makes a button open what is read live, and close it again.
 *
 * @param button
 * @param {{waiting: string, missing: string}} words until it is open, and where it cannot be
 * @param open opens it; returns what closes it
 * @returns {{running: boolean, stop}} whether it is open, and what closes it
 */
export function switchedBy(button, { waiting, missing }, open) {
  const [name, pick] = [button.textContent, find("pick")];
  let close;
  const live = {
    get running() {
      return Boolean(close);
    },
    stop() {
      close?.();
      close = undefined;
      button.textContent = name;
    },
  };
  button.addEventListener("click", async () => {
    if (close) {
      live.stop();
      return;
    }
    say(waiting);
    find("status").setAttribute("aria-live", "off"); // it changes too often to be read aloud
    button.disabled = pick.disabled = true; // while the browser asks for it
    try {
      close = await open();
      button.textContent = "Stop";
    } catch (error) {
      say(`${missing} (${error.message}).`, true);
    }
    button.disabled = pick.disabled = false;
  });
  return live;
}

/**
 * What the model makes of something long, window by window; what is shorter than one is one.
 *
 * @param {number} moments of all of it
 * @param {{length: number, hop: number}} window moments of one, and from one to the next
 * @param look what the model makes of the window that begins at a moment: {scores, ...}
 * @param rejection of model.json; undefined where the model cannot say that something is none of the classes
 * @returns its answers {at, scores}, the means of their scores, and the last one, rejected by the mean of all
 */
export async function overWindows(moments, { length, hop }, look, rejection) {
  const looks = [];
  let [last, unlike] = [undefined, 0];
  for (let start = 0; start === 0 || start + length <= moments; start += hop) {
    last = await look(start);
    unlike += last.score ?? 0;
    looks.push({ at: start + length, scores: last.scores });
  }
  const mean = last.scores.map((_, i) => looks.reduce((sum, { scores }) => sum + scores[i], 0) / looks.length);
  return { looks, mean, last: rejection ? { ...last, ...judged(unlike / looks.length, rejection) } : last };
}

/**
 * Keeps the latest of what comes, and has the model look at it whenever a hop is full and its last answer is there.
 *
 * @param {{length: number, hop: number, shown: number}} window moments of one, to the next, and that are shown
 * @param {number} width channels
 * @param look what the model makes of samples: {scores, ...}
 * @param tell takes {answer, samples, moments, smoothed, looks} of each look
 * @returns takes the samples of whole moments
 */
export function overLatest({ length, hop, shown }, width, look, tell) {
  const recent = new Float32Array(length * width);
  let [moments, next, busy, looks] = [0, length, false, []];
  return async (values) => {
    recent.copyWithin(0, values.length);
    recent.set(values, recent.length - values.length);
    moments += values.length / width;
    if (busy || moments < next) return;
    busy = true;
    next = moments + hop;
    const [samples, at, before] = [recent.slice(), moments, looks.at(-1)?.scores];
    const answer = await look(samples);
    busy = false;
    const smoothed = before ? answer.scores.map((score, i) => (1 - MEMORY) * score + MEMORY * before[i]) : answer.scores;
    looks = [...looks.filter((one) => one.at > at - shown), { at, scores: smoothed }];
    tell({ answer, samples, moments: at, smoothed, looks });
  };
}

/**
 * Draws the classes with the highest scores, a row each; time goes to the right.
 *
 * @param names of all classes
 * @param looks at the model's answers: {at, scores}, each shown from the one before to `at`
 * @param last moment
 * @param duration says how long so many moments are
 * @param {{hop: number, shown: number}} live of what comes live, of which the last moments are shown; else undefined
 */
export function drawTimeline(names, looks, last, duration, live) {
  const [first, begin] = live ? [looks[0].at - live.hop, Math.max(0, last - live.shown)] : [0, 0];
  const end = live ? Math.max(live.shown, last) : last;
  find("caption").textContent = `Scores over ${duration(last - begin)}`;
  const peaks = names.map((_, i) => Math.max(...looks.map(({ scores }) => scores[i])));
  const shown = [...names.keys()].sort((a, b) => peaks[b] - peaks[a]).slice(0, ROWS).sort((a, b) => a - b);
  const canvas = find("timeline");
  const [scale, height] = [devicePixelRatio, 1.6 * 16];
  const [width, left] = [canvas.clientWidth, canvas.clientWidth / 3];
  canvas.width = width * scale;
  canvas.height = shown.length * height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(document.body);
  const across = (at) => left + ((width - left) * (at - begin)) / (end - begin);
  context.font = `14px ${style.fontFamily}`;
  context.textBaseline = "middle";
  shown.forEach((index, row) => {
    context.globalAlpha = 1;
    context.fillStyle = style.color;
    context.fillText(names[index], 0, (row + 0.5) * height, left - 8);
    context.fillStyle = style.getPropertyValue("--accent");
    looks.forEach(({ at, scores }, i) => {
      const from = across(looks[i - 1]?.at ?? first);
      context.globalAlpha = scores[index];
      context.fillRect(from, row * height + 2, across(at) - from, height - 4);
    });
  });
}
