// The page for texts: takes what was typed or pasted, and shows what the model makes of it.

import { fetched, openClassifier } from "./classifier.js";
import { announce, find, known, later, say, showClasses, showFacts } from "./page.js";
import { WordPiece } from "./wordpiece.js";

const button = find("ask").querySelector("button");

/** Whatever is typed is one text, of which the model reads the beginning. */
async function read(text, { about, predict }, tokenizer) {
  const [, length] = about.input.shape;
  const ids = tokenizer.encode(text, length);
  const count = tokenizer.ids(text).length;
  const { scores, milliseconds, ...answer } = await predict(ids);
  showClasses(about, scores, false, answer);
  const words = count > length - 2 ? `the first ${length - 2} of ${count} tokens` : `all ${count} tokens`;
  showFacts(about, "texts", ["Time", `${milliseconds.toFixed(0)} ms for the model`], ["Read", words]);
  announce(about, { text, ids, scores, milliseconds, ...answer });
}

try {
  const [classifier, vocabulary, characters] = await Promise.all([
    openClassifier(),
    fetched("vocab.txt", "text"),
    fetched("characters.txt", "text"),
  ]);
  const { about } = classifier;
  const tokenizer = new WordPiece(vocabulary, characters, about.lowercase, about.strip_accents);
  find("about").textContent = `${known(about)} The text stays on this device.`;
  find("ask").addEventListener("submit", async (event) => {
    event.preventDefault(); // else the browser asks a server
    if (button.disabled) return;
    button.disabled = true;
    say("Reading…");
    await later();
    try {
      await read(find("text").value, classifier, tokenizer);
    } finally {
      button.disabled = false;
    }
  });
  button.disabled = false;
  say("Ready.");
} catch (error) {
  console.error(error);
  say(error.message, true);
}
