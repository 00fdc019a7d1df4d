// Pages in a real browser, all from one bucket behind ossgate: images and scripts of an allowed site and of
// another one, and a single-page app that is reloaded on a deep link.
//
//   node pages.mjs OSSGATE [SCREENSHOT-DIRECTORY]
//
// Starts `ossgate demo` for its origin and keys, and a second ossgate with the rules in front of that origin.
// In this browser, host names below example.test lead to this machine.
import { chromium } from "playwright-core";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, mkdirSync, writeFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, crc32 } from "node:zlib";

const [ossgate, shots = join(tmpdir(), "ossgate-pages")] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), "ossgate-browser."));
mkdirSync(shots, { recursive: true });
const started = [];
let failed = 0;

function check(name, is) {
  console.log(`${is ? "ok  " : "FAIL"} ${name}`);
  failed += is ? 0 : 1;
}

/** Starts a program and waits for its output or its port. */
function start(args, isReady) {
  const child = spawn(ossgate, args, { stdio: ["ignore", "pipe", "inherit"] });
  started.push(child);
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (piece) => {
      text += piece;
      if (isReady(text)) resolve(text);
    });
    child.on("exit", (code) => reject(new Error(`${args[0]} ended with ${code}: ${text}`)));
  });
}

function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

async function isListening(port) {
  for (;;) {
    const is = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => { socket.destroy(); resolve(true); });
      socket.on("error", () => resolve(false));
    });
    if (is) return;
  }
}

/** A red picture of 64 by 64 pixels. */
function png() {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0]);
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(64 * 3, Buffer.from([200, 30, 30]))]);
  const data = deflateSync(Buffer.concat(Array(64).fill(row)));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

function crc(bytes) {
  if (crc32) return crc32(bytes);
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

const APP = `<!doctype html><title>app</title><h1 id="where"></h1><a id="go" href="#">deeper</a><script>
  const show = () => { document.getElementById("where").textContent = "app at " + location.pathname; };
  document.getElementById("go").onclick = () => { history.pushState({}, "", "/deep/link/1"); show(); return false; };
  show();
</script>`;

try {
  const text = await start(["demo"], (all) => all.includes("Ctrl-C ends"));
  const fact = (pattern) => text.match(pattern)[1].trim();
  const origin = Number(fact(/origin\s+http:\/\/127\.0\.0\.1:(\d+)/));
  const [id, secret] = [fact(/key-id=(.+)/), fact(/key-secret=(.+)/)];

  async function put(key, type, body) {
    const date = new Date().toUTCString();
    const signed = createHmac("sha1", secret).update(`PUT\n\n${type}\n${date}\n/examplebucket/${key}`).digest("base64");
    const headers = { date, "content-type": type, authorization: `OSS ${id}:${signed}` };
    // fetch cannot set Date, so this is a plain request.
    const { request } = await import("node:http");
    const status = await new Promise((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port: origin, method: "PUT", path: `/examplebucket/${key}`, headers: { ...headers, "content-length": body.length } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      sent.on("error", reject);
      sent.end(body);
    });
    if (status !== 200) throw new Error(`PUT ${key}: ${status}`);
  }
  await put("pic.png", "image/png", png());
  await put("data.json", "application/json", Buffer.from('{"answer":42}'));
  await put("app/index.html", "text/html", Buffer.from(APP));

  const [port, site] = [await freePort(), await freePort()];
  writeFileSync(join(directory, "ossgate.toml"), `
[server]
workers = 1
[log]
access = "off"
[[listener]]
address = "127.0.0.1:${port}"
[[route]]
hosts = ["img.example.test"]
origin = { bucket = "examplebucket", endpoint = "127.0.0.1:${origin}", tls = false }
referer = { allow = ["http://good.example.test:*"], allow_empty = false, strict_host = true }
cors = { rules = [{ origins = ["http://good.example.test:${site}"], methods = ["GET"], headers = ["x-app-*"], expose = ["ETag"] }] }
[[route]]
hosts = ["app.example.test"]
origin = { bucket = "examplebucket", endpoint = "127.0.0.1:${origin}", tls = false, prefix = "app/" }
website = { error = "index.html", error_status = 200 }
`);
  const gate = spawn(ossgate, ["run", "-c", join(directory, "ossgate.toml")], { stdio: ["ignore", "inherit", "ignore"] });
  started.push(gate);
  await isListening(port);
  const page = `<!doctype html><h1></h1><img id="pic" src="http://img.example.test:${port}/pic.png"><pre id="data">...</pre><script>
    document.querySelector("h1").textContent = location.host;
    fetch("http://img.example.test:${port}/data.json", { headers: { "x-app-version": "1" } })
      .then(async (answer) => answer.status + " " + (await answer.text()) + " etag " + (answer.headers.get("etag") !== null))
      .catch((error) => "refused: " + error.message)
      .then((text) => { document.getElementById("data").textContent = text; });
  </script>`;
  const sites = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(page)).listen(site, "127.0.0.1");

  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--host-resolver-rules=MAP *.example.test 127.0.0.1"],
  });
  const tab = await browser.newPage();
  for (const [name, isAllowed] of [["good", true], ["evil", false]]) {
    await tab.goto(`http://${name}.example.test:${site}/`, { waitUntil: "load" });
    await tab.waitForFunction(() => document.getElementById("data").textContent !== "...");
    const width = await tab.evaluate(() => document.getElementById("pic").naturalWidth);
    const data = await tab.textContent("#data");
    check(`${name} site: the picture is ${isAllowed ? "shown" : "refused"}`, width === (isAllowed ? 64 : 0));
    check(`${name} site: fetch with a preflight is ${isAllowed ? "allowed" : "refused"} (${data})`,
      isAllowed ? data === '200 {"answer":42} etag true' : data.startsWith("refused: "));
    await tab.screenshot({ path: join(shots, `${name}.png`) });
  }
  await tab.goto(`http://app.example.test:${port}/`);
  await tab.click("#go");
  check("single-page app: the address changes", (await tab.textContent("#where")) === "app at /deep/link/1");
  const answer = await tab.reload();
  check("single-page app: a deep link survives a reload", answer.status() === 200 && (await tab.textContent("#where")) === "app at /deep/link/1");
  await tab.screenshot({ path: join(shots, "app.png") });
  await browser.close();
  sites.close();
} finally {
  for (const child of started) {
    child.removeAllListeners("exit");
    child.kill("SIGTERM");
  }
  rmSync(directory, { recursive: true, force: true });
}
console.log(failed ? `${failed} failed` : "all pages as expected");
process.exit(failed ? 1 : 0);
