// Signed updates of the model: the twin of keras_transfer/operations/updates.py. Nothing is used that does not verify.

/** The version of this page's code: an update may ask for a newer one. */
export const APP = 1;

const NUMBER = "(?:0|[1-9][0-9]{0,14})";
const FORM = new RegExp(
  `^keras-transfer update 1\nmodel ([^\n]+)\nserial (${NUMBER})\napp (${NUMBER})\n` +
    `((?:file ${NUMBER} [0-9a-f]{64} [A-Za-z0-9_][A-Za-z0-9_.-]*\n)+)((?:label [^\n]+\n)*)` +
    "signature ([A-Za-z0-9+/]{85}[AQgw]==)\n$",
);
const SIGNATURE_LINE = 99; // bytes

/** Why an update is refused: `reason` is "damaged", "forged", "old" or "app". */
export class Refused extends Error {
  constructor(reason) {
    super(`the update is refused: ${reason}`);
    this.reason = reason;
  }
}

/**
 * What a manifest says, once it is sure who signed it.
 *
 * @param {Uint8Array} content of the manifest
 * @param {string} key the public key, 64 hexadecimal digits
 * @param {number} since the serial of the update that is here
 */
export async function readUpdate(content, key, app, since = 0) {
  const form = FORM.exec(text(content));
  if (!form) throw new Refused("damaged");
  const [, model, serial, needed, files, labels, signature] = form;
  const raw = Uint8Array.from(key.match(/../g), (digits) => parseInt(digits, 16));
  const trusted = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const signed = content.subarray(0, content.length - SIGNATURE_LINE);
  const signatureBytes = Uint8Array.from(atob(signature), (letter) => letter.charCodeAt(0));
  if (!(await crypto.subtle.verify("Ed25519", trusted, signatureBytes, signed))) throw new Refused("forged");
  const lines = (block) => block.split("\n").slice(0, -1);
  const update = {
    model,
    serial: Number(serial),
    app: Number(needed),
    files: lines(files).map((line) => {
      const [, bytes, sha256, name] = line.split(" ");
      return { name, bytes: Number(bytes), sha256 };
    }),
    labels: lines(labels).map((line) => line.slice("label ".length)),
  };
  if (update.serial <= since) throw new Refused("old");
  if (update.app > app) throw new Refused("app");
  return update;
}

/** Throws where what was fetched is not the file of the manifest. */
export async function checkFile({ bytes, sha256 }, content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (content.length !== bytes || found !== sha256) throw new Refused("damaged");
}

/**
 * The files of the newest update that is whole and signed: fetched, or kept from an earlier visit. What is torn, forged
 * or out of reach changes nothing. Undefined where there is none.
 *
 * @param {{from: string, key: string}} updates the folder's address, with "/" at its end, and the public key
 * @returns {Promise<Map<string, Uint8Array> | undefined>} by name
 */
export async function latest({ from, key }, app = APP) {
  let kept;
  try {
    const address = new URL(from, document.baseURI);
    const store = await caches.open(`keras-transfer ${address}`);
    const stored = async (name) => bytesOf(await store.match(new URL(name, address)));
    kept = await opened(stored, key, app, 0, true).catch(() => undefined);
    const fetched = async (name) => bytesOf(await fetch(new URL(name, address), { cache: "no-store" }));
    const next = await opened(fetched, key, app, kept?.update.serial ?? 0, false);
    await keep(store, address, next);
    return next.files;
  } catch (error) {
    if (error.reason !== "old") console.warn(`The model stays as it is: ${error.message}`);
    return kept?.files;
  }
}

/** An update and its files, each checked; those that are kept lie in a folder of their serial. */
async function opened(read, key, app, since, inFolders) {
  const manifest = await read("update.txt");
  const update = await readUpdate(manifest, key, app, since);
  const files = new Map();
  for (const file of update.files) {
    const content = await read(inFolders ? `${update.serial}/${file.name}` : file.name);
    await checkFile(file, content);
    files.set(file.name, content);
  }
  return { manifest, update, files };
}

/** The manifest last: until it is there, the older one holds, whose files are still there. */
async function keep(store, address, { manifest, update, files }) {
  const at = (name) => new URL(name, address).href;
  for (const [name, content] of files) await store.put(at(`${update.serial}/${name}`), new Response(content));
  await store.put(at("update.txt"), new Response(manifest));
  const own = new Set([at("update.txt"), ...[...files.keys()].map((name) => at(`${update.serial}/${name}`))]);
  for (const request of await store.keys()) if (!own.has(request.url)) await store.delete(request);
}

async function bytesOf(response) {
  if (!response?.ok) throw new Error("there is no update to be had");
  return new Uint8Array(await response.arrayBuffer());
}

function text(content) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new Refused("damaged");
  }
}
