// Looks at the page in a headless browser: every state, phone and desk, light and dark.
//
// Owns the questions: does the verdict say what is wrong, is axe content, does nothing leave the host or overflow, is it small, does a
// page of 200 tables or 50 connectors answer a second's refresh in time. Keeps a screenshot of each. Never: needs a Walferry; the
// states are made up in states.mjs.
//
// node look.mjs FOLDER-OF-THE-PAGE FOLDER-FOR-SCREENSHOTS [URL-OF-A-RUNNING-ONE]; playwright-core and axe-core are found by NODE_PATH

import { createRequire } from "node:module";
import { readFileSync, readdirSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { states, past } from "./states.mjs";

const require = createRequire(join(process.env.NODE_PATH, "none.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [folder, shots, live] = process.argv.slice(2);
const BYTES_MAX = 100 << 10, REFRESH_MAX = 200;
const SIZES = [["desk", 1280, 900], ["phone", 390, 844]], SCHEMES = ["light", "dark"];
const KINDS = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript" };

let state = "healthy";
const json = (answer, value) => { answer.setHeader("content-type", "application/json"); answer.end(JSON.stringify(value)); };
const server = createServer((request, answer) => {
  const connectors = states[state].connectors();
  if (request.url === "/status") return json(answer, { process: { version: "0.1.0", uptime_seconds: 4000 }, connectors });
  if (request.url === "/status/history") return json(answer, past(connectors));
  if (request.url.startsWith("/explain/")) return json(answer, { title: "A title", cause: "The cause.", remedy: "The remedy.", runbook: "/runbooks/refused" });
  const name = request.url === "/" ? "page.html" : request.url.slice(1);
  if (!readdirSync(folder).includes(name)) { answer.statusCode = 404; return answer.end(); }
  answer.setHeader("content-type", KINDS[name.split(".").pop()]);
  answer.end(readFileSync(join(folder, name)));
});
await new Promise(ready => server.listen(0, "127.0.0.1", ready));
const own = `http://127.0.0.1:${server.address().port}`;

let faults = 0, looks = 0;
const expect = (holds, what) => { if (!holds) { faults += 1; console.log(`FAULT ${what}`); } };

const size = readdirSync(folder).reduce((sum, name) => sum + readFileSync(join(folder, name)).length, 0);
expect(size <= BYTES_MAX, `the page has ${size} bytes, more than ${BYTES_MAX}`);
mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const look = async (url, name, verdict, [device, width, height], colorScheme) => {
  const place = `${name}-${device}-${colorScheme}`;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  page.on("console", it => expect(it.type() !== "error", `${place}: the console says ${it.text()}`));
  page.on("pageerror", error => expect(false, `${place}: ${error}`));
  page.on("request", it => expect(it.url().startsWith(url) || it.url().startsWith("data:"), `${place}: asks ${it.url()}`));
  await page.goto(url);
  await page.waitForFunction(words => document.getElementById("verdict").textContent.includes(words), verdict, { timeout: 10000 })
    .catch(() => expect(false, `${place}: the verdict does not say ${JSON.stringify(verdict)}`));
  const code = page.locator(".problems summary").first();
  if (await code.count()) {
    await code.click();
    await page.getByText("Remedy:").first().waitFor({ timeout: 5000 }).catch(() => expect(false, `${place}: no remedy is shown`));
  }
  await page.screenshot({ path: join(shots, `${place}.png`), fullPage: true });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow <= 0, `${place}: it is ${overflow} pixels too wide`);
  const took = await page.evaluate(() => { const from = performance.now(); update(last); return performance.now() - from; });
  expect(took < REFRESH_MAX, `${place}: a refresh takes ${Math.round(took)} ms`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document));
  for (const it of violations) expect(false, `${place}: axe: ${it.id}: ${it.nodes[0].html.slice(0, 160)}`);
  looks += 1;
  await context.close();
};
for (const [name, { verdict }] of Object.entries(states)) {
  state = name;
  for (const device of SIZES) for (const scheme of SCHEMES) await look(own, name, verdict, device, scheme);
}
if (live) for (const device of SIZES) await look(live, "live", "", device, "light");
await browser.close();
server.close();
console.log(`page: ${looks} looks at ${Object.keys(states).length} states, ${size} bytes, ${faults} faults; screenshots in ${shots}`);
process.exit(faults ? 1 : 0);
