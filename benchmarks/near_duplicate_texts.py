"""How well near-duplicates among texts are found, and how often different texts are taken for one.

    python benchmarks/near_duplicate_texts.py TABLE.csv --csv docs/results/near_duplicate_texts.csv

Plants a changed copy of each of the table's texts and compares all of them, with three seeds.
"""

import argparse
import random
import string
from collections.abc import Callable
from pathlib import Path

from table import write_rows

from keras_transfer.modalities.text.duplicates import near_duplicates
from keras_transfer.modalities.text.items import load_text
from keras_transfer.modalities.text.sources import list_source


def _other_word(text: str, chance: random.Random) -> str:
    words = text.split()
    words[chance.randrange(len(words))] = "something"
    return " ".join(words)


def _typing_error(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chance.choice(string.ascii_lowercase) + text[place + 1 :]


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "capitals": lambda text, chance: text.upper(),
    "no punctuation": lambda text, chance: text.translate(str.maketrans("", "", string.punctuation.replace("'", ""))),
    "two words in front": lambda text, chance: f"RT @someone: {text}",
    "a link behind": lambda text, chance: f"{text} https://t.co/abc",
    "a typing error": _typing_error,
    "another word": _other_word,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    texts = list(dict.fromkeys(load_text(entry.file).decode() for entry in list_source(options.table).entries))
    alike = {i for members in near_duplicates(text.encode() for text in texts) for i in members[1:]}
    own = [text for i, text in enumerate(texts) if i not in alike]
    rows = [{"words": "all", "change": "none: different texts taken for one", "texts": len(texts),
             "share": round(1 - len(own) / len(texts), 3)}]  # fmt: skip
    for least, most in ((3, 9), (10, 19), (20, 1000)):
        part = [text for text in own if least <= len(text.split()) <= most]
        for name, change in CHANGES.items():
            together = 0
            for seed in options.seeds:
                chance = random.Random(seed)
                copies = [change(text, chance) for text in part]
                groups = near_duplicates(text.encode() for text in [*part, *copies])
                together += sum({i, i + len(part)} <= set(group) for group in groups for i in group if i < len(part))
            share = round(together / len(part) / len(options.seeds), 3)
            rows.append({"words": f"{least} to {most}", "change": name, "texts": len(part), "share": share})
            print(rows[-1], flush=True)
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
