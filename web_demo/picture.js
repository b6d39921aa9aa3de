// The page: takes a picture that was picked, photographed, dropped or pasted, and shows what the model sees in it.

import { openClassifier } from "./classifier.js";
import { decode } from "./decode.js";
import { announce, find, known, later, say, showClasses, showFacts } from "./page.js";
import { preprocess } from "./preprocess.js";

const inputs = [find("pick"), find("photograph")];
let classifier;
let busy = false;

async function look(file) {
  if (!file || busy || !classifier) return;
  busy = true;
  try {
    showPicture(file);
    find("result").hidden = true;
    say("Looking…");
    await later();
    await classify(file);
  } finally {
    busy = false;
  }
}

async function classify(file) {
  const { about, predict } = classifier;
  const [height, width] = about.image_size;
  const started = performance.now();
  let picture;
  try {
    picture = await decode(file, width, height, about.geometry);
  } catch {
    find("picture").hidden = true;
    find("drop").classList.remove("filled");
    say(`This browser cannot read ${file.name || "that"} as a picture. Try a JPEG, PNG or WebP.`, true);
    return;
  }
  const stored = [picture.rgb, picture.width, picture.height, picture.orientation];
  const pixels = preprocess(...stored, width, height, about.geometry);
  const preparing = performance.now() - started;
  const { scores, milliseconds, ...answer } = await predict(pixels);
  show(scores, pixels, { preparing, milliseconds }, answer);
  announce(about, { file: file.name, scores, pixels, milliseconds, ...answer });
}

function show(scores, pixels, times, answer) {
  const { about } = classifier;
  showClasses(about, scores, false, answer);
  showPixels(pixels);
  const time = `${times.milliseconds.toFixed(0)} ms for the model, ${times.preparing.toFixed(0)} ms for the picture`;
  showFacts(about, "pictures", ["Time", time]);
}

function showPicture(file) {
  const picture = find("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name ? `The picture ${file.name}` : "The picture";
  picture.hidden = false;
  find("drop").classList.add("filled");
}

function showPixels(pixels) {
  const [height, width] = classifier.about.image_size;
  const canvas = find("seen");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    image.data.set([pixels[from], pixels[from + 1], pixels[from + 2], 255], to);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

for (const input of inputs) {
  input.disabled = true;
  input.addEventListener("change", async () => {
    await look(input.files[0]);
    input.value = ""; // the same picture may be picked again
  });
}
document.addEventListener("paste", (event) => look(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser leaves the page for the picture
    find("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") look(event.dataTransfer.files[0]);
  });
}

try {
  classifier = await openClassifier();
  find("about").textContent = `${known(classifier.about)} The picture stays on this device.`;
  for (const input of inputs) input.disabled = false;
  say("Ready.");
} catch (error) {
  console.error(error);
  say(error.message, true);
}
