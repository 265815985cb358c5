// A browser for tests: Debian's Chromium, headless, driven by playwright-core. Plays script.mjs beside
// this file with the wish in SCRIPT_WISH, and says "done <JSON>" with what it returned. The packages lie
// in SCRIPT_MODULES.

import { createHash } from "node:crypto";
import { connect } from "node:tls";
import { pathToFileURL } from "node:url";

const entry = `${process.env.SCRIPT_MODULES}/playwright-core/index.mjs`;
const { chromium } = await import(pathToFileURL(entry).href);
const { default: play } = await import("./script.mjs");
const wish = JSON.parse(process.env.SCRIPT_WISH);
const { hostname, port } = new URL(wish.url);

// The browser knows no authority of ours. It takes this one key in spite of that, which Node has
// checked against the authority: all else of TLS is as for everybody.
const key = await new Promise((resolve, reject) => {
  const socket = connect({ host: "127.0.0.1", servername: hostname, port }, () => {
    const { publicKey } = socket.getPeerX509Certificate();
    resolve(publicKey.export({ type: "spki", format: "der" }));
    socket.end();
  });
  socket.on("error", reject);
});
const pin = createHash("sha256").update(key).digest("base64");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    // Tests run as root in containers, where the sandbox can't.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    // It asks nobody but us.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Whatever the resolver says.
    `--host-resolver-rules=MAP ${hostname} 127.0.0.1`,
    `--ignore-certificate-errors-spki-list=${pin}`,
  ],
});
try {
  const open = async () => (await browser.newContext()).newPage();
  console.log(`done ${JSON.stringify((await play(open, wish)) ?? null)}`);
} finally {
  await browser.close();
}
