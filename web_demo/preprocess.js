// From decoded pixels to what the model takes: the twin of keras_transfer/geometry.py, equal in every bit.
// Plain functions on byte arrays, no browser needed: tests run them in node on golden vectors made by Python.

/**
 * How pictures are fitted to a model, as `geometry` in model.json says it.
 *
 * @typedef {object} Geometry
 * @property {"crop" | "squash" | "letterbox"} mode the centred window, or the whole picture stretched or with bars
 * @property {number} crop share of the largest centred window
 * @property {"bilinear" | "mediapipe"} interpolation Pillow's antialiased filter, or the one of MediaPipe Tasks
 * @property {number} padding gray value of the bars
 */

// Pillow computes with weights of 22 fractional bits: 32 less 8 for a pixel and 2 for overshoot.
const PRECISION_BITS = 22;
// MediaPipe, by OpenCV, knows 32 positions between two pixels.
const POSITION_BITS = 5;

/**
 * Turns a picture upright and fits it to a model.
 *
 * @param {Uint8Array | Uint8ClampedArray} rgb the picture as it is stored: rows of R G B
 * @param {number} width of the stored picture
 * @param {number} height of the stored picture
 * @param {number} orientation the EXIF tag, 1 to 8; anything else counts as upright
 * @param {number} outWidth what the model takes
 * @param {number} outHeight what the model takes
 * @param {Geometry} geometry of the model
 * @returns {Uint8Array} rows of R G B, outHeight * outWidth * 3 bytes
 */
export function preprocess(rgb, width, height, orientation, outWidth, outHeight, geometry) {
  let picture = upright(rgb, width, height, orientation);
  if (picture.width === outWidth && picture.height === outHeight) return picture.rgb;
  if (geometry.interpolation === "mediapipe") picture = averaged(picture, outWidth, outHeight, geometry);
  const box = usedWindow(picture.width, picture.height, outWidth, outHeight, geometry);
  const place = placeOf(picture.width, picture.height, outWidth, outHeight, geometry);
  const resize = { bilinear: resizeAsPillow, mediapipe: resizeAsMediaPipe }[geometry.interpolation];
  const resized = resize(picture, box, place.width, place.height);
  if (place.width === outWidth && place.height === outHeight) return resized;
  const out = new Uint8Array(outWidth * outHeight * 3).fill(geometry.padding);
  for (let y = 0; y < place.height; y++) {
    const row = resized.subarray(y * place.width * 3, (y + 1) * place.width * 3);
    out.set(row, ((place.top + y) * outWidth + place.left) * 3);
  }
  return out;
}

/** Obeys an EXIF orientation: {rgb, width, height} of the upright picture. */
export function upright(rgb, width, height, orientation) {
  if (!(orientation >= 2 && orientation <= 8)) return { rgb: Uint8Array.from(rgb), width, height };
  const turned = orientation >= 5; // rows become columns
  const outWidth = turned ? height : width;
  const outHeight = turned ? width : height;
  // Where the row and the column of the stored picture run backwards.
  const rowBack = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const columnBack = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const out = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      let row = turned ? x : y;
      let column = turned ? y : x;
      if (rowBack) row = height - 1 - row;
      if (columnBack) column = width - 1 - column;
      const from = (row * width + column) * 3;
      out[to] = rgb[from];
      out[to + 1] = rgb[from + 1];
      out[to + 2] = rgb[from + 2];
      to += 3;
    }
  }
  return { rgb: out, width: outWidth, height: outHeight };
}

/** By how much a JPEG of this size is reduced while it is decoded: 8, 4, 2 or 1, as `modalities/image/decode.py` asks Pillow for. */
export function reduction(width, height, outWidth, outHeight, geometry) {
  const least = Math.trunc((2 * Math.max(outWidth, outHeight)) / geometry.crop) + 1;
  const scale = Math.min(Math.trunc(width / least), Math.trunc(height / least));
  return [8, 4, 2].find((by) => by <= scale) ?? 1;
}

/** What of a picture is used. */
export function usedWindow(width, height, outWidth, outHeight, geometry) {
  if (geometry.mode !== "crop") return { left: 0, top: 0, right: width, bottom: height };
  const across = geometry.crop * Math.min(width, (height * outWidth) / outHeight);
  const down = (across * outHeight) / outWidth;
  const left = (width - across) / 2;
  const top = (height - down) / 2;
  return { left, top, right: left + across, bottom: top + down };
}

/** Where it stands in what the model takes; around it are bars. */
export function placeOf(width, height, outWidth, outHeight, geometry) {
  if (geometry.mode !== "letterbox") return { left: 0, top: 0, width: outWidth, height: outHeight };
  const scale = Math.min(outWidth / width, outHeight / height);
  const across = Math.min(outWidth, Math.max(1, Math.trunc(width * scale + 0.5)));
  const down = Math.min(outHeight, Math.max(1, Math.trunc(height * scale + 0.5)));
  const left = Math.floor((outWidth - across) / 2);
  return { left, top: Math.floor((outHeight - down) / 2), width: across, height: down };
}

/** The picture with blocks of pixels averaged, as Pillow's `reduce` does it, where it is four times as large. */
function averaged(picture, outWidth, outHeight, geometry) {
  const box = usedWindow(picture.width, picture.height, outWidth, outHeight, geometry);
  const place = placeOf(picture.width, picture.height, outWidth, outHeight, geometry);
  const across = Math.max(1, Math.trunc((box.right - box.left) / place.width / 2));
  const down = Math.max(1, Math.trunc((box.bottom - box.top) / place.height / 2));
  if (across === 1 && down === 1) return picture;
  const width = Math.ceil(picture.width / across);
  const height = Math.ceil(picture.height / down);
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const rows = Math.min(down, picture.height - y * down);
    for (let x = 0; x < width; x++) {
      const columns = Math.min(across, picture.width - x * across);
      const count = rows * columns; // fewer at the right and lower edge
      const multiplier = Math.trunc(Math.fround(2 ** 32 / (256 * count)));
      for (let channel = 0; channel < 3; channel++, to++) {
        let sum = count >> 1;
        for (let row = 0; row < rows; row++) {
          let from = ((y * down + row) * picture.width + x * across) * 3 + channel;
          for (let column = 0; column < columns; column++, from += 3) sum += picture.rgb[from];
        }
        rgb[to] = Math.floor((sum * multiplier) / 2 ** 24);
      }
    }
  }
  return { rgb, width, height };
}

/** MediaPipe's resize of a window: linear between the four nearest pixels, corners and not centres on each other. */
function resizeAsMediaPipe(picture, box, outWidth, outHeight) {
  const across = positions(picture.width, box.left, box.right, outWidth);
  const down = positions(picture.height, box.top, box.bottom, outHeight);
  const all = 1 << POSITION_BITS;
  const out = new Uint8Array(outHeight * outWidth * 3);
  for (let y = 0, to = 0; y < outHeight; y++) {
    const upper = down.before[y] * picture.width;
    const lower = down.after[y] * picture.width;
    const low = down.share[y];
    for (let x = 0; x < outWidth; x++) {
      const left = across.before[x];
      const right = across.after[x];
      const far = across.share[x];
      for (let channel = 0; channel < 3; channel++) {
        const pixel = (row, column) => picture.rgb[(row + column) * 3 + channel];
        const before = pixel(upper, left) * (all - low) + pixel(lower, left) * low;
        const after = pixel(upper, right) * (all - low) + pixel(lower, right) * low;
        const sum = before * (all - far) + after * far;
        out[to++] = (sum + (1 << (2 * POSITION_BITS - 1))) >> (2 * POSITION_BITS);
      }
    }
  }
  return out;
}

/** For each output position the two input pixels that it lies between, and how near to the second, of 32. */
function positions(inSize, from, to, outSize) {
  const before = new Int32Array(outSize);
  const after = new Int32Array(outSize);
  const share = new Int32Array(outSize);
  const scale = (to - from) / outSize;
  for (let x = 0; x < outSize; x++) {
    const position = toNearest((from + x * scale) * (1 << POSITION_BITS));
    before[x] = Math.min(position >> POSITION_BITS, inSize - 1);
    after[x] = Math.min((position >> POSITION_BITS) + 1, inSize - 1);
    share[x] = position & ((1 << POSITION_BITS) - 1);
  }
  return { before, after, share };
}

/** Rounded, halves to the even number. */
function toNearest(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Pillow's antialiased bilinear resize of a window: first all rows, then all columns, rounding to bytes between. */
function resizeAsPillow(picture, box, outWidth, outHeight) {
  const across = weights(picture.width, box.left, box.right, outWidth);
  const down = weights(picture.height, box.top, box.bottom, outHeight);
  const half = 1 << (PRECISION_BITS - 1);
  const first = down.start[0];
  const rows = down.start[outHeight - 1] + down.count[outHeight - 1] - first;

  const between = new Uint8Array(rows * outWidth * 3);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < outWidth; x++) {
      let r = half;
      let g = half;
      let b = half;
      let from = ((first + y) * picture.width + across.start[x]) * 3;
      for (let i = 0; i < across.count[x]; i++) {
        const weight = across.weight[x * across.most + i];
        r += picture.rgb[from] * weight;
        g += picture.rgb[from + 1] * weight;
        b += picture.rgb[from + 2] * weight;
        from += 3;
      }
      const to = (y * outWidth + x) * 3;
      between[to] = byte(r);
      between[to + 1] = byte(g);
      between[to + 2] = byte(b);
    }
  }

  const out = new Uint8Array(outHeight * outWidth * 3);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth * 3; x++) {
      let sum = half;
      for (let i = 0; i < down.count[y]; i++) {
        sum += between[(down.start[y] - first + i) * outWidth * 3 + x] * down.weight[y * down.most + i];
      }
      out[y * outWidth * 3 + x] = byte(sum);
    }
  }
  return out;
}

/** For each output position: where its input pixels start, how many there are, and their weights in fixed point. */
function weights(inSize, first, last, outSize) {
  const from = Math.fround(first); // as Pillow takes it
  const scale = Math.fround(Math.fround(last) - from) / outSize;
  const filterScale = Math.max(scale, 1); // an enlarged picture is interpolated, a reduced one averaged
  const support = filterScale; // of the triangle
  const most = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(outSize);
  const count = new Int32Array(outSize);
  const weight = new Int32Array(outSize * most);
  const exact = new Float64Array(most);
  for (let x = 0; x < outSize; x++) {
    const centre = from + (x + 0.5) * scale;
    const inverse = 1 / filterScale;
    const low = Math.max(Math.trunc(centre - support + 0.5), 0);
    const high = Math.min(Math.trunc(centre + support + 0.5), inSize);
    let total = 0;
    for (let i = 0; i < high - low; i++) {
      const distance = Math.abs((i + low - centre + 0.5) * inverse);
      exact[i] = distance < 1 ? 1 - distance : 0;
      total += exact[i];
    }
    for (let i = 0; i < high - low; i++) {
      const share = total !== 0 ? exact[i] / total : exact[i];
      weight[x * most + i] = Math.trunc(0.5 + share * (1 << PRECISION_BITS));
    }
    start[x] = low;
    count[x] = high - low;
  }
  return { start, count, weight, most };
}

function byte(sum) {
  return Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);
}
