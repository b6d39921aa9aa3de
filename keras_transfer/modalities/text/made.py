"""Made reviews: sentences of three kinds from a small grammar, to see a first run without data or a network."""

from typing import TypeAlias

import numpy as np

from keras_transfer.data.made import made_count

Reviews: TypeAlias = tuple[list[str], list[str]]

NAME = "made-reviews"
"""What they are called wherever a data set goes; `made-reviews:400` are so many."""
NOTE = "These reviews are made by a program: they show how it works, not how good it is."
_COUNT, _MOST = 900, 100_000
_THINGS = (
    "soup", "tea", "coffee", "bread", "room", "bed", "service", "phone", "screen", "battery", "film", "story", "music",
    "ending", "waiter", "price", "keyboard", "camera",
)  # fmt: skip
_GOOD = (
    "good", "great", "lovely", "excellent", "perfect", "tasty", "clear", "friendly", "fast", "quiet", "beautiful",
    "superb",
)  # fmt: skip
_BAD = (
    "bad", "awful", "poor", "cold", "slow", "rude", "broken", "noisy", "boring", "dirty", "terrible", "dull",
)  # fmt: skip
_VERY = ("", "really ", "very ", "so ", "rather ", "quite ")
_START = ("", "Honestly, ", "I must say ", "Well, ", "For me ", "In short, ", "Again ")
_END = (
    "",
    " I will come back.",
    " I told my friends.",
    " That is all.",
    " It was a Monday.",
    " Five of us were there.",
)
_OTHER = ("It arrived on {day}.", "We ordered the {thing} at noon.", "There is one {thing} in each box.",
          "The {thing} comes in two sizes.", "{start}the {thing} was there.")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def made_reviews(count: int = _COUNT, seed: int = 0) -> Reviews:
    """Reviews and their classes, `negative`, `neutral` and `positive`, a third each.

    A fifth of the opinions is a denied one of the other side ("not bad at all"), which words alone do not tell.

    Args:
        count: how many.
        seed: another seed, other reviews.

    >>> texts, labels = made_reviews(6)
    >>> len(texts), sorted(set(labels))
    (6, ['negative', 'neutral', 'positive'])
    """
    random = np.random.default_rng(seed)
    labels = [("negative", "neutral", "positive")[i % 3] for i in range(count)]
    return [_review(label, random) for label in labels], labels


def load_made(source: str) -> Reviews:
    """The reviews of a source's name.

    Raises:
        InputError: what stands behind the colon is no number from 30 to 100,000.
    """
    return made_reviews(made_count(source, _COUNT, 30, _MOST))


def _review(label: str, random: np.random.Generator) -> str:
    def one(words: tuple[str, ...]) -> str:
        return words[int(random.integers(len(words)))]

    start, thing = one(_START), one(_THINGS)
    if label == "neutral":
        text = one(_OTHER).format(start=start, thing=thing, day=one(_DAYS))
    else:
        own, other = (_GOOD, _BAD) if label == "positive" else (_BAD, _GOOD)
        opinion = f"not {one(other)} at all" if random.random() < 0.2 else f"{one(_VERY)}{one(own)}"
        text = f"{start}the {thing} was {opinion}{one(('.', '!', ', and the ' + one(_THINGS) + ' too.'))}"
    return text[0].upper() + text[1:] + one(_END)
