// Scores over time, as the pages for sounds and measurements show them.

import { find } from "./page.js";

const ROWS = 6; // classes that are shown

/**
 * Draws the classes with the highest scores, a row each; time goes to the right.
 *
 * @param names of all classes
 * @param looks at the model's answers: {at, scores}, each shown from the one before to `at`
 * @param first where what the first of them was given begins
 * @param begin of the time that is shown
 * @param end of it
 */
export function drawTimeline(names, looks, first, begin, end) {
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
