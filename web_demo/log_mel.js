// From samples to a log-mel spectrogram: the twin of keras_transfer/modalities/audio/front_end.py, within 1e-5.
// Plain arithmetic, no browser needed: tests run it in node on golden vectors made by Python.

/** A front end; `settings` are those of Python's FrontEnd, as `front_end` in model.json has them. */
export class LogMel {
  constructor(settings) {
    this.settings = settings;
    const { window, fft } = settings;
    this.hann = Float64Array.from({ length: window }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / window));
    this.cos = Float64Array.from({ length: fft }, (_, i) => Math.cos((2 * Math.PI * i) / fft));
    this.sin = Float64Array.from({ length: fft }, (_, i) => -Math.sin((2 * Math.PI * i) / fft));
    this.bands = melBands(settings);
    this.real = new Float64Array(fft);
    this.imaginary = new Float64Array(fft);
    this.frame = new Float64Array(fft);
  }

  /** How many frames a clip has. */
  frames(samples) {
    const { margin, window, hop } = this.settings;
    return Math.max(0, Math.floor((samples - 2 * margin - window) / hop) + 1);
  }

  /** The log-mel spectrogram of samples in -1..1, a Float32Array of frames * mels. */
  spectrogram(samples) {
    const { margin, hop, mels, span, scale, shift } = this.settings;
    const logs = new Float64Array(this.frames(samples.length) * mels);
    for (let at = 0; at < logs.length; at += mels) this.logs(samples, margin + (at / mels) * hop, logs.subarray(at, at + mels));
    const least = span === null ? -Infinity : logs.reduce((a, b) => Math.max(a, b), -Infinity) - span;
    return Float32Array.from(logs, (log) => Math.max(log, least) * scale + shift);
  }

  /** The logarithms of the bands of one frame, which begins at a sample. */
  logs(samples, start, out) {
    const { window, gain, power, floor, offset } = this.settings;
    for (let i = 0; i < window; i++) this.frame[i] = samples[start + i] * gain * this.hann[i];
    this.transform();
    this.bands.forEach(({ first, weights }, band) => {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) {
        const energy = this.real[first + i] ** 2 + this.imaginary[first + i] ** 2;
        sum += weights[i] * (power === 1 ? Math.sqrt(energy) : energy);
      }
      out[band] = Math.log(Math.max(sum, floor) + offset);
    });
  }

  /** The DFT of `frame`, into `real` and `imaginary`: of the odd part of its length directly, then by halves. */
  transform() {
    const { frame, real, imaginary, cos, sin } = this;
    const n = frame.length;
    let size = n;
    while (size % 2 === 0) size /= 2;
    const step = n / size;
    for (let block = 0, start = 0; block < step; block++) {
      for (let k = 0; k < size; k++) {
        let [re, im] = [0, 0];
        for (let j = 0; j < size; j++) {
          const turn = (j * k * step) % n;
          re += frame[start + j * step] * cos[turn];
          im += frame[start + j * step] * sin[turn];
        }
        real[block * size + k] = re;
        imaginary[block * size + k] = im;
      }
      let bit = step / 2; // the next start: counting with the bits in reverse
      for (; start & bit; bit /= 2) start -= bit;
      start += bit;
    }
    for (; size < n; size *= 2) {
      for (let even = 0; even < n; even += 2 * size) {
        for (let k = 0; k < size; k++) {
          const [a, b, turn] = [even + k, even + k + size, (k * n) / (2 * size)];
          const re = real[b] * cos[turn] - imaginary[b] * sin[turn];
          const im = real[b] * sin[turn] + imaginary[b] * cos[turn];
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  }
}

/** What the frequencies of the DFT count in each band: the first that does, and its weight and those of the next. */
function melBands({ sample_rate: rate, fft, mels, low, high, bands }) {
  const htk = bands === "htk";
  const scale = htk ? (hertz) => 1127 * Math.log1p(hertz / 700) : slaney;
  const [from, to] = [scale(low), scale(high)];
  const edges = Array.from({ length: mels + 2 }, (_, i) => from + ((to - from) * i) / (mels + 1));
  if (!htk) edges.forEach((mel, i) => (edges[i] = slaneyHertz(mel)));
  const places = Array.from({ length: (fft >> 1) + 1 }, (_, bin) => (htk ? scale((bin * rate) / fft) : (bin * rate) / fft));
  return Array.from({ length: mels }, (_, band) => {
    const [begin, peak, end] = edges.slice(band, band + 3);
    const weights = places.map((at) => Math.max(0, Math.min((at - begin) / (peak - begin), (end - at) / (end - peak))));
    const first = Math.max(0, weights.findIndex((weight) => weight > 0));
    const inside = weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1);
    return { first, weights: inside.map((weight) => (htk ? weight : (weight * 2) / (end - begin))) };
  });
}

const STEP = Math.log(6.4) / 27; // Slaney's scale is linear up to 1 kHz, 15 mels, and logarithmic above
const slaney = (hertz) => (hertz < 1000 ? (hertz * 3) / 200 : 15 + Math.log(hertz / 1000) / STEP);
const slaneyHertz = (mel) => (mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp((mel - 15) * STEP));
