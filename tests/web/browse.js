// Drives the page in headless Chromium: node browse.js URL CHROMIUM < {"files": [...], "shots": [...]} > results.json
//
// Each file is picked in the browser's own file chooser. A result is {file, scores, pixels (hex), said, classes, error}.
// Each of "texts" is typed into the page for texts; its result is {text, ids, scores, milliseconds, said, classes, facts}.
// With "microphone", a WAV file, the page for sounds listens to it for so many "seconds"; a result is one of its answers,
// {seconds, samples, scores, smoothed, ...}; those of each of "recordings", picked as files, follow: {file, samples, ...}.
// With "motion", rows of six numbers, the page for measurements is sent one of them each 1/"rate" seconds as the device's
// motion, until it has answered for so many "moments"; its answers come like the microphone's.
// A shot is {path, width, height, dark}: the page as it looks after the last file.

import { chromium } from "playwright-core";

const [url, executablePath] = process.argv.slice(2);
let text = "";
for await (const chunk of process.stdin) text += chunk;
const { files = [], texts = [], shots = [], recordings = [], by = "click", ...live } = JSON.parse(text);
const { microphone, seconds, motion, rate, moments } = live;

const fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
const heard = microphone ? [...fake, `--use-file-for-fake-audio-capture=${microphone}`] : [];
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", ...heard] });
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 1000 } });
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("status").textContent !== "Loading the model…");
  await page.evaluate(() => {
    window.answers = [];
    document.addEventListener("classified", (event) => {
      window.classified = event.detail;
      window.answers.push(event.detail);
    });
  });
  const status = () => page.textContent("#status");
  const results = [];
  const ready = await status();
  for (const file of ready === "Ready." ? files : []) {
    await page.evaluate(() => (window.classified = undefined));
    const choosing = page.waitForEvent("filechooser");
    if (by === "keyboard") {
      await page.focus("#pick");
      await page.keyboard.press("Enter");
    } else {
      await page.click("label[for=pick]");
    }
    await (await choosing).setFiles(file);
    await page.waitForFunction(() => window.classified || document.querySelector("#status.fault"));
    results.push({
      said: await status(),
      classes: await page.$$eval("#classes li", (items) => items.map((item) => item.innerText.split("\n"))),
      ...(await page.evaluate(() => {
        if (!window.classified) return { error: true };
        const { file, scores, pixels, milliseconds } = window.classified;
        const hex = [...pixels].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return { file, scores: [...scores], pixels: hex, milliseconds };
      })),
    });
  }
  for (const typed of ready === "Ready." ? texts : []) {
    await page.evaluate(() => (window.classified = undefined));
    await page.fill("#text", typed);
    await page.click("#ask button");
    await page.waitForFunction(() => window.classified || document.querySelector("#status.fault"));
    results.push({
      said: await status(),
      classes: await page.$$eval("#classes li", (items) => items.map((item) => item.innerText.split("\n"))),
      facts: await page.innerText("#facts"),
      ...(await page.evaluate(() => {
        const { text, ids, scores, milliseconds } = window.classified;
        return { text, ids: [...ids], scores: [...scores], milliseconds };
      })),
    });
  }
  const answers = async () => {
    const [said, facts] = [await status(), await page.innerText("#facts")];
    const all = await page.evaluate(() =>
      window.answers.map((answer) =>
        Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, ArrayBuffer.isView(value) ? [...value] : value])),
      ),
    );
    return all.map((answer) => ({ said, facts, ...answer }));
  };
  if (ready === "Ready." && microphone) {
    await page.click("#listen");
    await page.waitForFunction((until) => window.classified?.seconds >= until || document.querySelector("#status.fault"), seconds);
    results.push(...(await answers()));
  }
  if (ready === "Ready." && motion) {
    await page.click("#sense");
    await page.evaluate(
      ([rows, wait]) => {
        let next = 0;
        window.moving = setInterval(() => {
          const [x, y, z, alpha, beta, gamma] = rows[next++ % rows.length];
          const about = { accelerationIncludingGravity: { x, y, z }, rotationRate: { alpha, beta, gamma } };
          window.dispatchEvent(new DeviceMotionEvent("devicemotion", about));
        }, wait);
      },
      [motion, 1000 / rate],
    );
    await page.waitForFunction((until) => window.classified?.moments >= until, moments);
    results.push(...(await answers()));
    await page.evaluate(() => clearInterval(window.moving));
  }
  for (const file of ready === "Ready." ? recordings : []) {
    await page.evaluate(() => ([window.answers, window.classified] = [[], undefined]));
    const choosing = page.waitForEvent("filechooser");
    await page.click("label[for=pick]");
    await (await choosing).setFiles(file);
    await page.waitForFunction(() => window.classified?.windows || document.querySelector("#status.fault"));
    results.push(...(await answers()));
  }
  for (const { path, width, height, dark } of shots) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await page.waitForTimeout(500);
    await page.screenshot({ path, fullPage: true });
  }
  process.stdout.write(JSON.stringify({ ready, faults, results }));
} finally {
  await browser.close();
}
