// A log of what the page said, for `keras-transfer monitor`: the twin of keras_transfer/operations/log.py.

const LARGEST = 1e9;

/** The line of a prediction. `top` are pairs of a class and its probability; `time` is in milliseconds since 1970. */
export function lineOf({ time, model, top, score, ms }) {
  const pairs = top.map(([name, value]) => `[${JSON.stringify(name)},${decimal(value, 4)}]`);
  const fields = [`"model":${JSON.stringify(model)}`, `"top":[${pairs.join(",")}]`];
  if (time !== undefined) fields.unshift(`"time":"${new Date(time).toISOString()}"`);
  if (Number.isFinite(score)) fields.push(`"score":${decimal(score, 3)}`);
  if (Number.isFinite(ms)) fields.push(`"ms":${decimal(ms, 1)}`);
  return `{${fields.join(",")}}`;
}

/** A number with so many digits behind the point, of halves the upper one, as in Python. */
function decimal(value, digits) {
  const unit = 10 ** digits;
  const whole = Math.floor(Math.min(Math.max(value, -LARGEST), LARGEST) * unit + 0.5);
  const size = Math.abs(whole);
  return `${whole < 0 ? "-" : ""}${Math.floor(size / unit)}.${String(size % unit).padStart(digits, "0")}`;
}

/** Lines that the browser keeps: the last ones, no more than `most` letters of them. */
export class Log {
  constructor(name, { store = localStorage, most = 1 << 20 } = {}) {
    Object.assign(this, { name, store, most });
  }

  get text() {
    return this.store.getItem(this.name) ?? "";
  }

  add(prediction) {
    let text = `${this.text}${lineOf(prediction)}\n`;
    while (text.length > this.most) text = text.slice(text.indexOf("\n") + 1);
    this.store.setItem(this.name, text);
  }
}
