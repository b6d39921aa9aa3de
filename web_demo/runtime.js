// Run by `npm ci`: fills litert/ with the files of LiteRT.js that the page loads. node_modules/ is not needed after it.

import { copyFileSync, mkdirSync } from "node:fs";

const files = {
  "core/dist/index.js": "core.js",
  "wasm-utils/dist/index.js": "wasm-utils.js",
  // The first pair is for browsers with relaxed SIMD (Chromium, Firefox), the second for the others.
  "core/wasm/litert_wasm_internal.js": "wasm/litert_wasm_internal.js",
  "core/wasm/litert_wasm_internal.wasm": "wasm/litert_wasm_internal.wasm",
  "core/wasm/litert_wasm_compat_internal.js": "wasm/litert_wasm_compat_internal.js",
  "core/wasm/litert_wasm_compat_internal.wasm": "wasm/litert_wasm_compat_internal.wasm",
};
mkdirSync("litert/wasm", { recursive: true });
for (const [from, to] of Object.entries(files)) copyFileSync(`node_modules/@litertjs/${from}`, `litert/${to}`);
