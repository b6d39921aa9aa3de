"""Work done ahead: the same items in order, errors where they are taken, and no thread left behind."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.data.parallel import ahead, ordered


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=40), st.integers(1, 10))
def test_ahead_gives_the_items_in_order(items, count):
    with ahead(iter(items), count) as made:
        assert list(made) == items


def test_ahead_is_bounded_and_leaves_no_thread():
    made = []

    def numbers():
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            made.append("closed")

    with ahead(numbers(), 5) as taken:
        assert [next(taken) for _ in range(3)] == [0, 1, 2]
    assert made[-1] == "closed" and len(made) < 20
    assert not any(thread.name == "keras-transfer-ahead" for thread in threading.enumerate())


def test_an_error_is_raised_where_the_item_is_taken():
    with ahead((1 // n for n in (1, 0)), 5) as taken:
        assert next(taken) == 1
        with pytest.raises(ZeroDivisionError):
            next(taken)


def test_ordered_keeps_the_order():
    assert list(ordered(lambda x: -x, range(50), ahead=3)) == [-x for x in range(50)]
