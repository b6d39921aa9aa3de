// From a picture's file to its pixels. The browser decodes; turning a picture upright is left to preprocess.js, so the
// orientation is read here and blanked in the copy that the browser gets: no browser can turn a picture twice.

import { reduction } from "./preprocess.js";

const MOST_PIXELS = 16_000_000; // canvases of iOS hold no more

/**
 * @param {Blob} file
 * @param {number} outWidth of the pixels that the model takes: a JPEG that is much larger is decoded at a reduced size
 * @param {number} outHeight
 * @param {import("./preprocess.js").Geometry} geometry of the model
 * @returns {Promise<{rgb: Uint8Array, width: number, height: number, orientation: number}>} as the picture is stored
 */
export async function decode(file, outWidth, outHeight, geometry) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { orientation, offsets } = findOrientation(bytes);
  for (const offset of offsets) bytes[offset] = 0;
  // Neither colour profiles nor gamma: the model was trained on pixels as they are stored.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const reduced = await decodeReduced(bytes, outWidth, outHeight, geometry);
  let bitmap = await createImageBitmap(reduced ?? new Blob([bytes], { type: file.type }), options);
  reduced?.close();
  const excess = Math.sqrt((bitmap.width * bitmap.height) / MOST_PIXELS);
  if (excess > 1) {
    const resizeWidth = Math.floor(bitmap.width / excess);
    const resizeHeight = Math.floor(bitmap.height / excess);
    bitmap = await createImageBitmap(bitmap, { ...options, resizeWidth, resizeHeight, resizeQuality: "high" });
  }
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { rgb: onWhite(context.getImageData(0, 0, width, height).data), width, height, orientation };
}

/** A JPEG at a half, a quarter or an eighth of its size, as Python decodes it; undefined where the browser cannot. */
async function decodeReduced(bytes, outWidth, outHeight, geometry) {
  const size = jpegSize(bytes);
  const by = size ? reduction(size.width, size.height, outWidth, outHeight, geometry) : 1;
  if (by === 1 || typeof ImageDecoder === "undefined") return undefined;
  const [desiredWidth, desiredHeight] = [Math.ceil(size.width / by), Math.ceil(size.height / by)];
  const told = { data: bytes, type: "image/jpeg", colorSpaceConversion: "none", desiredWidth, desiredHeight };
  try {
    return (await new ImageDecoder(told).decode()).image;
  } catch {
    return undefined; // whether it is a picture at all is for the usual way to say
  }
}

/** R G B of R G B A, as it shows on white. */
export function onWhite(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3];
    for (let i = 0; i < 3; i++) {
      rgb[to + i] = alpha === 255 ? rgba[from + i] : Math.round((rgba[from + i] * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  return rgb;
}

/**
 * Finds the EXIF orientation of a JPEG, PNG or WebP.
 *
 * @param {Uint8Array} bytes a file from anywhere
 * @returns {{orientation: number, offsets: number[]}} 1 without one, and where its value's bytes lie
 */
export function findOrientation(bytes) {
  const none = { orientation: 1, offsets: [] };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const start = exifStart(view);
    return start === undefined ? none : orientationIn(view, start);
  } catch (error) {
    if (error instanceof RangeError) return none; // an offset that leads out of the file
    throw error;
  }
}

function orientationIn(view, start) {
  const order = view.getUint16(start);
  if (order !== 0x4949 && order !== 0x4d4d) return { orientation: 1, offsets: [] };
  const little = order === 0x4949; // "II"; "MM" is big-endian
  const directory = start + view.getUint32(start + 4, little);
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    const isShort = view.getUint16(entry + 2, little) === 3;
    if (view.getUint16(entry, little) === 0x0112 && isShort) {
      return { orientation: view.getUint16(entry + 8, little), offsets: [entry + 8, entry + 9] };
    }
  }
  return { orientation: 1, offsets: [] };
}

/** Width and height of a JPEG as it is stored; undefined of what is none. */
function jpegSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    for (const [marker, at] of view.getUint16(0) === 0xffd8 ? segments(view) : []) {
      const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
      if (frame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ends too early
  }
  return undefined;
}

/** The segments of a JPEG before the picture's data: marker, and where it lies. */
function* segments(view) {
  let at = 2;
  while (view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xda || marker === 0xd9) return; // the picture's data begin
    if (marker === 0xff) {
      at += 1; // filling
    } else {
      yield [marker, at];
      at += 2 + view.getUint16(at + 2);
    }
  }
}

/** Where the TIFF header of the EXIF block begins. */
function exifStart(view) {
  const exif = 0x45786966; // "Exif"
  if (view.getUint16(0) === 0xffd8) {
    for (const [marker, at] of segments(view)) {
      if (marker === 0xe1 && view.getUint32(at + 4) === exif && view.getUint16(at + 8) === 0) return at + 10;
    }
  } else if (view.getUint32(0) === 0x89504e47) {
    for (let at = 8; ; at += 12 + view.getUint32(at)) {
      if (view.getUint32(at + 4) === 0x65584966) return at + 8; // "eXIf"
    }
  } else if (view.getUint32(0) === 0x52494646 && view.getUint32(8) === 0x57454250) {
    for (let at = 12; ; ) {
      const length = view.getUint32(at + 4, true);
      if (view.getUint32(at) === 0x45584946) return at + 8 + (view.getUint32(at + 8) === exif ? 6 : 0); // "EXIF"
      at += 8 + length + (length % 2);
    }
  }
  return undefined;
}
