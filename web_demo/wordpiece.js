// BERT's tokenizer: the twin of keras_transfer/modalities/text/wordpiece.py, equal in every id.
// Plain functions on strings, no browser needed: tests run them in node on golden vectors made by Python.
// What happens to a character stands in characters.txt: JavaScript's own Unicode tables would differ by engine.

const [UNKNOWN, FIRST, LAST, PADDING] = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"];
const INSIDE = "##"; // begins a piece that does not begin a word
const LONGEST_WORD = 100; // characters; what is longer is unknown
const CAPITAL_I_WITH_DOT = 0x130; // the only letter whose lower case is two characters
const [SYLLABLES, SYLLABLES_END, LEADING, VOWELS, TRAILING] = [0xac00, 0xd7a4, 0x1100, 0x1161, 0x11a7]; // Hangul

/** A tokenizer of words into the longest pieces of a vocabulary. */
export class WordPiece {
  /**
   * @param {string} vocabulary content of vocab.txt, one entry a line
   * @param {string} characters content of characters.txt
   * @param {boolean} lowercase whether letters become lower-case
   * @param {boolean} stripAccents whether text is decomposed and loses its nonspacing marks
   */
  constructor(vocabulary, characters, lowercase = true, stripAccents = lowercase) {
    this.normalizer = new Normalizer(characters, lowercase, stripAccents);
    this.pieces = new Map(lines(vocabulary).map((entry, id) => [entry, id]));
    this.longest = [...this.pieces.keys()].reduce((most, entry) => Math.max(most, entry.length), 0);
    const missing = [UNKNOWN, FIRST, LAST, PADDING].filter((token) => !this.pieces.has(token));
    if (missing.length > 0) throw new Error(`The vocabulary lacks ${missing.join(", ")}: it is not one of BERT.`);
  }

  /** The ids of a text, without special tokens: an array of numbers. */
  ids(text) {
    return this.normalizer.words(text).flatMap((word) => this.idsOfWord(word));
  }

  /** The ids of a text between [CLS] and [SEP], cut and padded to a length: an Int32Array. */
  encode(text, length) {
    const ids = new Int32Array(length).fill(this.pieces.get(PADDING));
    const own = this.ids(text).slice(0, length - 2);
    ids.set([this.pieces.get(FIRST), ...own, this.pieces.get(LAST)]);
    return ids;
  }

  /** The longest piece that the vocabulary has, then the longest of the rest; unknown where a rest has none. */
  idsOfWord(word) {
    const letters = [...word];
    if (letters.length > LONGEST_WORD) return [this.pieces.get(UNKNOWN)];
    const ids = [];
    for (let start = 0; start < letters.length; ) {
      let end = Math.min(letters.length, start + this.longest);
      let id;
      for (; end > start && id === undefined; end--) {
        id = this.pieces.get((start > 0 ? INSIDE : "") + letters.slice(start, end).join(""));
      }
      if (id === undefined) return [this.pieces.get(UNKNOWN)];
      ids.push(id);
      start = end + 1; // one step too far down
    }
    return ids;
  }
}

/** What becomes of characters, as characters.txt says it: its first lines say how it is read. */
class Normalizer {
  constructor(characters, lowercase, stripAccents) {
    const tables = new Map(
      lines(characters)
        .filter((line) => !line.startsWith("#"))
        .map((line) => line.split(" "))
        .map(([name, ...items]) => [name, items.map(entry)]),
    );
    this.lowercase = lowercase;
    this.stripAccents = stripAccents;
    this.removed = tables.get("removed");
    this.spaces = valuesOf(tables.get("spaces"));
    this.chinese = tables.get("chinese");
    this.punctuation = valuesOf(tables.get("punctuation"));
    this.lower = valuesOf(tables.get("lower"), (distance, code) => String.fromCodePoint(code + parseInt(distance, 16)));
    this.lower.set(CAPITAL_I_WITH_DOT, "i\u0307");
    this.marks = valuesOf(tables.get("marks"));
    this.bounds = valuesOf(tables.get("bounds"));
    this.classes = valuesOf(tables.get("classes"), (order) => parseInt(order, 16));
    this.decompositions = valuesOf(tables.get("decomposed"), (parts) =>
      String.fromCodePoint(...parts.split("+").map((part) => parseInt(part, 16))),
    );
    this.images = new Map();
  }

  /** The words and punctuation marks of a text. */
  words(text) {
    let whole = "";
    for (const character of this.stripAccents ? this.inOrder(text) : text) {
      const code = character.codePointAt(0);
      if (!this.images.has(code)) this.images.set(code, this.image(code));
      whole += this.images.get(code);
    }
    return whole.split(" ").filter((word) => word !== "");
  }

  /** What a character becomes. */
  image(code) {
    if (within(this.removed, code)) return "";
    if (this.spaces.has(code)) return " ";
    const letters = this.stripAccents ? this.decomposed(code) : String.fromCodePoint(code);
    const apart = Array.from(letters, (letter) => {
      const own = letter.codePointAt(0);
      const low = this.lowercase ? (this.lower.get(own) ?? letter) : letter;
      return this.punctuation.has(own) ? ` ${low} ` : low;
    }).join("");
    return within(this.chinese, code) ? ` ${apart} ` : apart;
  }

  /** The canonical decomposition of a character without its nonspacing marks. */
  decomposed(code) {
    if (this.marks.has(code)) return "";
    if (code >= SYLLABLES && code < SYLLABLES_END) {
      const [syllable, trailing] = [Math.floor((code - SYLLABLES) / 28), (code - SYLLABLES) % 28];
      const parts = [LEADING + Math.floor(syllable / 21), VOWELS + (syllable % 21), TRAILING + trailing];
      return String.fromCodePoint(...(trailing > 0 ? parts : parts.slice(0, 2)));
    }
    return this.decompositions.get(code) ?? String.fromCodePoint(code);
  }

  /** A text whose combining characters that stay, which are rare, are in canonical order. */
  inOrder(text) {
    const classOf = (letter) => this.classes.get(letter.codePointAt(0)) ?? 0;
    const stays = (letter) => classOf(letter) > 0;
    const parts = Array.from(text, (letter) => {
      const own = this.decompositions.get(letter.codePointAt(0));
      return own !== undefined && [...own].some(stays) ? own : letter;
    }).join("");
    if (![...parts].some(stays)) return text;
    const out = [];
    let run = [];
    const close = () => {
      out.push(...run.sort((one, other) => classOf(one) - classOf(other)));
      run = [];
    };
    for (const letter of parts) {
      const code = letter.codePointAt(0);
      if (stays(letter)) run.push(letter);
      else if (!within(this.removed, code) && !(this.marks.has(code) && !this.bounds.has(code))) {
        close();
        out.push(letter);
      }
    }
    close();
    return out.join("");
  }
}

/** Lines of a text, whether or not the last one is ended; an entry may hold what other readers take for a line's end. */
function lines(text) {
  const all = text.replace(/^\ufeff/, "").split("\n");
  if (all[all.length - 1] === "") all.pop();
  return all.map((line) => line.replace(/\r$/, ""));
}

/** Code points from `first` to `last` by `step`, and the value that they share. */
function entry(item) {
  const [codes, value = ""] = item.split(":");
  const [ends, step = "1"] = codes.split("/");
  const [first, last = first] = ends.split("-");
  return { first: parseInt(first, 16), last: parseInt(last, 16), step: Number(step), value };
}

function within(ranges, code) {
  return ranges.some((range) => range.first <= code && code <= range.last);
}

function valuesOf(ranges, read = (value) => value) {
  const values = new Map();
  for (const { first, last, step, value } of ranges) {
    for (let code = first; code <= last; code += step) values.set(code, read(value, code));
  }
  return values;
}
