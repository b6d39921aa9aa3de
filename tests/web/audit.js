// Looks at pages in headless Chromium, light and dark, as axe does: node audit.js CHROMIUM PAGE... > findings.json
// A page is a file, which may ask for nothing beside itself, or an address, which may ask for what lies below it.
//
// A finding says what a screen reader's or a keyboard's user would stumble over, what the console complained of, or what
// the page asked for beside itself.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, ...files] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const findings = [];
try {
  for (const file of files) {
    const url = file.startsWith("http") ? file : pathToFileURL(file).href;
    for (const colorScheme of ["light", "dark"]) {
      const page = await browser.newPage({ viewport: { width: 390, height: 844 }, colorScheme });
      const found = (said) => findings.push(`${file} (${colorScheme}): ${said}`);
      page.on("pageerror", (error) => found(`error: ${error}`));
      page.on("console", (message) => {
        const told = /^(INFO|WARNING):/.test(message.text()); // LiteRT.js logs all it has to say as errors
        if (message.type() === "error" && !told) found(`console: ${message.text()}`);
      });
      page.on("request", (request) => {
        const asked = request.url();
        if (!/^(data|blob):/.test(asked) && !asked.startsWith(url)) found(`asked for ${asked}`);
      });
      await page.goto(url);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, impact, help, nodes } of violations) {
        found(`${impact}: ${id}: ${help}: ${nodes.length} times, as ${nodes[0].html.slice(0, 200)}`);
      }
      await page.close();
    }
  }
  process.stdout.write(JSON.stringify(findings));
} finally {
  await browser.close();
}
