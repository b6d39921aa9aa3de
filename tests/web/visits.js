// Visits the page for pictures again and again in one browser: node visits.js URL CHROMIUM PICTURE < lines > answers
//
// Each line of standard input is a visit; what the page then says of the picture is a line of JSON.

import { chromium } from "playwright-core";
import { createInterface } from "node:readline";

const [url, executablePath, picture] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const context = await browser.newContext();
for await (const _ of createInterface({ input: process.stdin })) {
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("status").textContent === "Ready.");
  await page.evaluate(() => document.addEventListener("classified", () => (window.classified = true)));
  await page.setInputFiles("#pick", picture);
  await page.waitForFunction(() => window.classified);
  console.log(JSON.stringify(await page.textContent("#status")));
  await page.close();
}
await browser.close();
