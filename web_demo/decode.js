// From a picture's file to its pixels. The browser decodes; turning a picture upright is left to preprocess.js, so the
// orientation is read here and blanked in the copy that the browser gets: no browser can turn a picture twice.

const MOST_PIXELS = 16_000_000; // canvases of iOS hold no more

/**
 * @param {Blob} file
 * @returns {Promise<{rgb: Uint8Array, width: number, height: number, orientation: number}>} as the picture is stored
 */
export async function decode(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { orientation, offsets } = findOrientation(bytes);
  for (const offset of offsets) bytes[offset] = 0;
  // Neither colour profiles nor gamma: the model was trained on pixels as they are stored.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), options);
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

/** Where the TIFF header of the EXIF block begins. */
function exifStart(view) {
  const exif = 0x45786966; // "Exif"
  if (view.getUint16(0) === 0xffd8) {
    let at = 2;
    while (view.getUint8(at) === 0xff) {
      const marker = view.getUint8(at + 1);
      if (marker === 0xff) {
        at += 1; // filling
      } else if (marker === 0xe1 && view.getUint32(at + 4) === exif && view.getUint16(at + 8) === 0) {
        return at + 10;
      } else if (marker === 0xda || marker === 0xd9) {
        return undefined; // the picture's data begin
      } else {
        at += 2 + view.getUint16(at + 2);
      }
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
