// node compare.js preprocess FOLDER: names the golden cases whose pixels differ, one a line.
// node compare.js orientation FILE...: what decode.js reads as EXIF orientation of each file, one a line.

import { readFileSync } from "node:fs";

import { findOrientation } from "../../web_demo/decode.js";
import { preprocess } from "../../web_demo/preprocess.js";

const [what, ...paths] = process.argv.slice(2);
if (what === "preprocess") {
  const [folder] = paths;
  const [, ...rows] = readFileSync(`${folder}/cases.csv`, "utf8").trim().split("\n");
  for (const row of rows) {
    const [name, ...numbers] = row.split(",");
    const [width, height, orientation, outHeight, outWidth] = numbers.map(Number);
    const rgb = readFileSync(`${folder}/${name}.rgb`);
    const made = preprocess(rgb, width, height, orientation, outWidth, outHeight);
    if (!readFileSync(`${folder}/${name}.pixels`).equals(made)) console.log(row);
  }
  console.log(`${rows.length} cases`);
} else {
  for (const path of paths) console.log(findOrientation(readFileSync(path)).orientation);
}
