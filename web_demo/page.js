// What all pages share: how they speak, and how they show scores.

import { Log } from "./log.js";

const SHOWN = 5;

export const find = (id) => document.getElementById(id);
export const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

export function say(text, fault = false) {
  find("status").textContent = text;
  find("status").classList.toggle("fault", fault);
}

/** Resolves once what was just said is seen: before the work begins, which holds the page up. */
export const later = () => new Promise((resolve) => setTimeout(resolve, 30));

/** Which classes a model knows, in a sentence. */
export function known({ class_names: names }) {
  const some = names.length > 8 ? `${names.slice(0, 6).join(", ")} and ${names.length - 6} more` : names.join(", ");
  return `It knows ${some}.`;
}

/**
 * Says what was found, and lists the classes that come next; at once, where they change often. `answer` may hold
 * `unlikeness` and `rejected`.
 */
export function showClasses(about, scores, atOnce = false, answer = {}) {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  const named = about.multi_label ? order.filter((i) => scores[i] >= 0.5) : order.slice(0, 1);
  const found = answer.rejected ? [] : named;
  const shown = order.slice(0, Math.max(SHOWN, found.length));
  find("classes").replaceChildren(...shown.map((i) => row(about.class_names[i], scores[i], found.includes(i), atOnce)));
  const said = found.map((i) => `${about.class_names[i]}, ${percent.format(scores[i])}`);
  const none = answer.rejected ? ` More unlike them than ${percent.format(answer.unlikeness)} of those it was tried on.` : "";
  say(said.join("; ") || `None of the classes it knows.${none}`);
}

/** Lists facts, pairs of a name and a value, then those of the model, and shows the result. `items` are "pictures", say. */
export function showFacts(about, items, ...facts) {
  facts.push(["Model", `${about.name}, ${(about.bytes / 1e6).toFixed(1)} MB`]);
  const { test } = about;
  if (test) facts.push(["Tested", `${percent.format(test.accuracy)} right of ${test.items} ${items}`]);
  find("facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  find("result").hidden = false;
}

/** Tells whoever puts the page into something larger, and the tests. */
export function announce(about, detail) {
  if (about.log && detail.milliseconds !== undefined) keep(about, detail);
  document.dispatchEvent(new CustomEvent("classified", { detail: { ...detail, classNames: about.class_names } }));
}

/** Where model.json has `log: true`: a line in this browser's storage, and a link that saves all of them as a file. */
function keep({ hash, class_names: names }, { scores, score, milliseconds }) {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, SHOWN);
  const log = new Log(`keras-transfer log ${hash}`);
  log.add({ time: Date.now(), model: hash, top: order.map((i) => [names[i], scores[i]]), score, ms: milliseconds });
  const link = find("log") ?? find("result").appendChild(element("a", "Save the log"));
  URL.revokeObjectURL(link.href);
  const href = URL.createObjectURL(new Blob([log.text]));
  Object.assign(link, { id: "log", download: "log.jsonl", href });
}

function row(name, score, isFound, atOnce) {
  const item = element("li");
  item.append(element("span", name), element("span", percent.format(score)));
  item.classList.toggle("found", isFound);
  item.style.setProperty("--share", atOnce ? score : "0");
  requestAnimationFrame(() => requestAnimationFrame(() => item.style.setProperty("--share", score)));
  return item;
}

function element(tag, text = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
