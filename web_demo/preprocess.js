// From decoded pixels to what the model takes: the twin of keras_transfer/data/decode.py, equal in every bit.
// Plain functions on byte arrays, no browser needed: tests run them in node on golden vectors made by Python.

/** Of a picture that is resized, this share of the largest centred window of the wanted shape is used. */
export const CROP = 0.875;

// Pillow computes with weights of 22 fractional bits: 32 less 8 for a pixel and 2 for overshoot.
const PRECISION_BITS = 22;

/**
 * Turns a picture upright, crops its centre and resizes it.
 *
 * @param {Uint8Array | Uint8ClampedArray} rgb the picture as it is stored: rows of R G B
 * @param {number} width of the stored picture
 * @param {number} height of the stored picture
 * @param {number} orientation the EXIF tag, 1 to 8; anything else counts as upright
 * @param {number} outWidth what the model takes
 * @param {number} outHeight what the model takes
 * @returns {Uint8Array} rows of R G B, outHeight * outWidth * 3 bytes
 */
export function preprocess(rgb, width, height, orientation, outWidth, outHeight) {
  const picture = upright(rgb, width, height, orientation);
  if (picture.width === outWidth && picture.height === outHeight) return picture.rgb;
  const box = centredWindow(picture.width, picture.height, outWidth, outHeight);
  return resize(picture, box, outWidth, outHeight);
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

/** By how much a JPEG of this size is reduced while it is decoded: 8, 4, 2 or 1, as `data/decode.py` asks Pillow for. */
export function reduction(width, height, outWidth, outHeight) {
  const least = Math.trunc((2 * Math.max(outWidth, outHeight)) / CROP) + 1;
  const scale = Math.min(Math.trunc(width / least), Math.trunc(height / least));
  return [8, 4, 2].find((by) => by <= scale) ?? 1;
}

/** The centred window of a picture for an output shape, in 32-bit floats as Pillow takes it. */
export function centredWindow(width, height, outWidth, outHeight) {
  const w = CROP * Math.min(width, (height * outWidth) / outHeight);
  const h = (w * outHeight) / outWidth;
  const left = (width - w) / 2;
  const top = (height - h) / 2;
  return {
    left: Math.fround(left),
    top: Math.fround(top),
    right: Math.fround(left + w),
    bottom: Math.fround(top + h),
  };
}

/** Pillow's antialiased bilinear resize of a window: first all rows, then all columns, rounding to bytes between. */
export function resize(picture, box, outWidth, outHeight) {
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
function weights(inSize, from, to, outSize) {
  const scale = Math.fround(to - from) / outSize;
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
