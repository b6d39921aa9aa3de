"""Texts to distil on: what WordNet says of its words, its examples, and opinions made of its words by a small grammar.

    python pretraining/text/corpus.py /usr/share/wordnet vocab.txt --out texts.txt

WordNet's folder is that of Debian's `wordnet-base` (its licence allows any use with its notice). One text a line.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_EXAMPLE = re.compile(r'"([^"]+)"')
_WORDS = {
    slot: words.split("|")
    for slot, words in {
        "thing": (
            "price|quality|service|battery|screen|sound|picture|story|plot|acting|music|food|place|staff|waiter|"
            "room|bed|phone|camera|case|cable|charger|headset|keyboard|computer|product|item|device|film|movie|"
            "show|book|game|restaurant|hotel|meal|soup|salad|burger|pizza|chicken|fish|beer|wine|coffee|dessert|"
            "lunch|dinner|breakfast|director|actor|character|dialogue|ending|script|effects|design|size|weight|"
            "color|fit|volume|signal|delivery|package|box|manual|software|button|light|car|kitchen|bar|table|"
            "order|company|customer|experience"
        ),
        "opinion": (
            "good|bad|great|terrible|excellent|awful|poor|nice|horrible|wonderful|amazing|fantastic|"
            "disappointing|lovely|delicious|tasty|bland|fresh|stale|rude|friendly|slow|fast|cheap|expensive|"
            "overpriced|worth|useless|reliable|comfortable|uncomfortable|clear|loud|quiet|boring|funny|"
            "predictable|brilliant|stupid|perfect|mediocre|average|beautiful|ugly|broken|defective|sturdy|flimsy|"
            "happy|pleased|disappointed|unhappy|satisfied|annoyed|impressed|best|worst|better|worse|cold|hot|dry|"
            "dirty|clean|easy|hard|impossible|simple|fine|okay|decent|cool|weak"
        ),
        "number": "two|three|five|ten|2|3|30",
        "be": "is|was|isn't|wasn't|is not|was never|seems|looked|felt|has been|could be|are|were",
        "how": "||||very|so|really|too|not|quite|pretty|rather|a bit|extremely|just|not very",
        "start": (
            "||||honestly, |well, |i must say |i think |i guess |overall, |unfortunately |also, |but |and |"
            "so far |in my opinion |to be fair, |at first |after a week |don't get me wrong, "
        ),
        "end": (
            ".|.|.|!|!!||...| at all.|, too.| for me.| as expected.| for the price.|"
            ", and i would not buy it again.|, so we will be back.| and it doesn't work.| and i love it!"
        ),
    }.items()
}
_FRAMES = (
    "{start}the {thing} {be} {how} {adj}{end}",
    "{start}the {thing} {be} {adj} and {opinion}{end}",
    "{start}the {thing} {be} {how} {opinion}{end}",
    "{start}a {how} {opinion} {thing}, {how} {opinion} {noun}{end}",
    "{start}i {be} {how} {opinion} with the {thing}{end}",
    "{opinion} {thing}, {opinion} {noun}{end}",
    "{start}the {noun} {be} {how} {adj}, but the {thing} {be} {adj}{end}",
    "{start}i {how} {verb} this {thing}{end}",
    "{start}we {adv} {verb} the {noun} of the {thing}{end}",
    "{start}this is {how} {adj} {thing}{end}",
    "{start}it's a {adj} {noun}{end}",
    "what a {adj} {thing}!",
    "{adj} {thing}, {adj} {thing}{end}",
    "{start}it {be} {how} {adj} to {verb} the {noun}{end}",
    "i have never {verb} such a {adj} {noun}{end}",
    "{start}i'd {verb} the {thing} if the {noun} {be} {how} {adj}{end}",
    "{start}they {verb} {adv} and the {thing} {be} {adj}{end}",
    "don't {verb} this {thing}, it {be} {adj}{end}",
    "{adv} {adj}{end}",
    "{start}one of the most {adj} {noun} i've {verb}{end}",
    "{start}you can't {verb} the {noun} without a {adj} {thing}{end}",
    "{start}there {be} no {noun} in the {thing}, {how} {adj}{end}",
    "the {thing} {verb} in {number} days{end}",
    "{start}if you {verb} {noun}, the {thing} {be} {adj}{end}",
)


def synsets(folder: Path) -> Iterator[tuple[list[str], str, list[str]]]:
    """Of each meaning its words, its definition and the examples."""
    for kind in KINDS:
        for line in (folder / f"data.{kind}").read_text("latin-1").splitlines():
            if line.startswith("  "):  # the licence
                continue
            data, _, gloss = line.partition(" | ")
            fields = data.split()
            words = [re.sub(r"\(\w+\)$", "", word) for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            definition = _EXAMPLE.sub("", gloss).strip(" ;:").replace("`", "'")
            yield (
                [word.replace("_", " ") for word in words],
                definition,
                [example.strip() for example in _EXAMPLE.findall(gloss)],
            )


def common(folder: Path, vocabulary: dict[str, int], kind: str) -> list[str]:
    """Words of a kind that stand whole in a vocabulary, in its order: BERT's has frequent ones first."""
    lines = (folder / f"index.{kind}").read_text("latin-1").splitlines()
    found = [line.split()[0] for line in lines if not line.startswith("  ")]
    return sorted((word for word in found if word in vocabulary and len(word) > 2), key=vocabulary.__getitem__)


def made(words: dict[str, list[str]], count: int, random: np.random.Generator) -> Iterator[str]:
    """Sentences of the grammar, of frequent words above all."""

    def word(slot: re.Match[str]) -> str:
        name = slot[1]
        if name in words:
            return words[name][int(len(words[name]) * random.random() ** 2)]
        return _WORDS[name][int(random.integers(len(_WORDS[name])))]

    for _ in range(count):
        frame = _FRAMES[int(random.integers(len(_FRAMES)))]
        yield " ".join(re.sub(r"{(\w+)}", word, frame).split())


def long_texts(texts: list[str], count: int, random: np.random.Generator) -> Iterator[str]:
    """Several texts in a row."""
    for _ in range(count):
        chosen = random.integers(len(texts), size=int(random.integers(3, 16)))
        yield ". ".join(texts[int(i)] for i in chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("vocabulary", type=Path, help="the teacher's vocab.txt")
    parser.add_argument("--made", type=int, default=80_000)
    parser.add_argument("--long", type=int, default=3_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    texts = []
    for words, definition, examples in synsets(options.wordnet):
        texts += [f"{words[int(random.integers(len(words)))]}: {definition}", *examples]
    vocabulary = {word: i for i, word in enumerate(options.vocabulary.read_text("utf-8").splitlines())}
    kinds = {kind: common(options.wordnet, vocabulary, kind) for kind in KINDS}
    texts += made(kinds, options.made, random)
    texts += long_texts(texts, options.long, random)
    texts = list(dict.fromkeys(texts))
    order = random.permutation(len(texts))
    options.out.write_text("".join(f"{texts[int(i)]}\n" for i in order), "utf-8")
    print(f"{options.out}: {len(texts)} texts")


if __name__ == "__main__":
    main()
