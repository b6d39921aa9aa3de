"""Budgets as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.budget import Budget, parse_budget, parse_size
from keras_transfer.errors import InputError

budgets = st.builds(
    lambda place, **limits: Budget(**limits, **(place if limits["latency"] is not None else {})),
    st.sampled_from(
        [{}, {"core": "m7", "mhz": 480.0}, {"core": "m0+", "mhz": 133.0}, {"core": "neural-art", "mhz": 1e3}]
    ),
    flash=st.none() | st.integers(0, 2**31),
    ram=st.none() | st.integers(0, 2**31),
    latency=st.none() | st.integers(0, 10_000).map(lambda tenths: tenths / 10),
    zip=st.none() | st.integers(0, 2**31),
)


@given(budgets.filter(lambda budget: budget != Budget()))
def test_what_is_written_is_read(budget):
    assert parse_budget(str(budget)) == budget


@given(
    st.decimals(0, 4096, places=2), st.sampled_from([("", 1), ("B", 1), ("kB", 2**10), ("KiB", 2**10), ("m", 2**20)])
)
def test_sizes(number, unit):
    name, factor = unit
    assert parse_size(f" {number} {name}") == round(float(number) * factor)


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_refused(text):
    try:
        assert parse_size(text) >= 0
    except InputError as error:
        assert repr(text) in str(error)


@given(st.text(max_size=30) | st.from_regex(r"(flash|ram|zip|latency)=[0-9kKmMsB.@-]{0,12}", fullmatch=True))
def test_any_text_is_a_budget_or_refused(text):
    try:
        assert isinstance(parse_budget(text), Budget)
    except InputError as error:
        assert "Received:" in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "--fit"),
        ("flash", "'flash'"),
        ("flash=", "KB or MB"),
        ("flash=1MB,flash=2MB", "flash once"),
        ("rom=1MB", "'rom=1MB'"),
        ("ram=-1", "'-1'"),
        ("ram=1XB", "'1XB'"),
        ("ram=1iB", "'1iB'"),
        ("latency=80", "like 80ms"),
        ("latency=80ms@m7", "m7-480MHz"),
        ("latency=80ms@", "m7-480MHz"),
    ],
)
def test_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse_budget(text)


def test_units():
    budget = parse_budget("flash=1MB, ram=256 KB,latency=0.08s@M7-0.48GHz,ZIP=300000")
    assert budget == Budget(1 << 20, 256 << 10, 80.0, 300_000, "m7", 480.0)
    assert parse_budget("latency=500us").latency == 0.5


def test_a_device_fills_what_is_not_said():
    device = Budget(flash=100, ram=50, core="m4", mhz=64)
    assert Budget(flash=70, latency=9).within(device) == Budget(70, 50, 9, core="m4", mhz=64)
    assert Budget(latency=9, core="m7", mhz=480).within(device).core == "m7"


@pytest.mark.parametrize("fields", [{"flash": -1}, {"latency": float("nan")}, {"core": "m7"}])
def test_no_budget(fields):
    with pytest.raises(ValueError, match="Received"):
        Budget(**fields)
