"""Recordings of every format, whole or damaged, and stretches of long ones."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import FORMATS, chirp, encoded, melody, noise, write

from keras_transfer import InputError
from keras_transfer.data.stretches import cut_windows, parse_stretch, stretch_name
from keras_transfer.modalities.audio.items import as_wav, decode, examine_sound, load_sound, measure_sound, resample


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_decoded(suffix):
    sound = chirp()
    samples, rate = decode(encoded(sound, suffix=suffix))
    assert rate == 16000 and samples.dtype == np.float32 and len(samples) == len(sound)
    assert np.corrcoef(samples, sound)[0, 1] > 0.999


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_depth_of_wav_is_decoded(subtype):
    samples, _ = decode(encoded(chirp(), subtype=subtype))
    assert np.abs(samples - chirp()).max() < 0.02


def test_stereo_is_mixed_down():
    both = np.stack([chirp(), np.zeros_like(chirp())], axis=1)
    samples, _ = decode(encoded(both, subtype="FLOAT"))
    assert np.allclose(samples, chirp() / 2, atol=1e-6)


def test_another_rate_is_the_same_sound():
    low, high = chirp(rate=8000), chirp(rate=16000)
    assert np.corrcoef(resample(low, 8000, 16000)[500:-500], high[500:-500])[0, 1] > 0.999


@pytest.mark.parametrize("form", [*FORMATS, "opus"])
def test_a_stretch_is_read_alone(tmp_path, form):
    suffix, subtype = (".ogg", "OPUS") if form == "opus" else (form, "")
    sound = noise(4) if suffix != ".mp3" else chirp(4)
    path = write(tmp_path / f"long{suffix}", sound, subtype=subtype)
    content = load_sound(stretch_name(str(path), 1.25, 1.75))
    samples, rate = decode(content)
    whole, _ = decode(path.read_bytes())
    assert (len(samples), rate) == (8000, 16000) and np.allclose(samples, whole[20000:28000], atol=2e-3)
    assert content == load_sound(f"{path}#t=1.25,1.75")
    far = decode(load_sound(f"{path}#t=2.5,2.75"))[0]  # forward, and then back again
    assert np.allclose(far, whole[40000:44000], atol=2e-3) and content == load_sound(f"{path}#t=1.25,1.75")
    assert load_sound(f"{path}#t=1.5,2")[-16000:] == load_sound(f"{path}#t=1.75,2")[-16000:]  # they overlap
    assert len(decode(load_sound(f"{path}#t=3.5,9"))[0]) == 8000  # as far as it goes
    with pytest.raises(InputError, match="ends after 4 s"):
        load_sound(f"{path}#t=5,6")
    facts = measure_sound(str(path))
    assert (facts.seconds, facts.sample_rate, facts.channels) == (pytest.approx(4, abs=0.01), 16000, 1)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_stretch_is_the_same_in_every_bit_whatever_was_read_before(tmp_path, suffix):
    path = write(tmp_path / f"tones{suffix}", melody(5))
    stretches = [f"{path}#t={part}" for part in ("0,1.3", "1.3,2.6", "2,2.5", "3.9,5", "4.6,5")]
    first = {}
    for stretch in stretches:
        path.touch()  # so that it is opened anew
        first[stretch] = load_sound(stretch)
    for stretch in np.random.default_rng(0).choice(stretches, 60):
        assert load_sound(str(stretch)) == first[stretch]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"hello", "not a recording"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A .AAC.: save it as WAV"),
        (b"\xff\xf1\x50\x80\0\0", "AAC: save it"),
        (b"\x30\x26\xb2\x75\x8e\x66", "WMA: save it"),
        (b"\xff\xd8\xff\xe0", "^not a recording, but a picture$"),
        (b"RIFF", "damaged"),
        (b"fLaC" + b"\0" * 40, "damaged|no sound"),
        (b"ID3\4\0\0\0\0\0\0" + b"\0" * 400, "damaged|no sound"),
        (as_wav(np.zeros(0, np.float32), 16000), "no sound"),
        (as_wav(np.full(9, np.nan, np.float32), 16000), "no numbers"),
        (as_wav(np.zeros(9, np.float32), 7), "claims 1 channels at 7 Hz"),
    ],
)
def test_what_is_no_sound_recording_is_refused_in_words(content, words):
    with pytest.raises(InputError, match=words):
        decode(content)


def test_what_was_cut_off_is_told_from_what_is_whole():
    for suffix in (".wav", ".flac", ".ogg"):
        content = encoded(noise(8), suffix=suffix)
        assert examine_sound(content)[1] == (8, 16000, 1)
        for kept in (0.3, 0.5, 0.9, 0.999):
            with pytest.raises(InputError, match=r"cut off|damaged"):
                examine_sound(content[: round(kept * len(content))])


def test_a_forged_length_takes_no_memory():
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16) + b"data"
    forged = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + head + struct.pack("<I", 0xFFFFFFF0) + b"\1\0" * 100
    flac = bytearray(encoded(noise(0.1), suffix=".flac"))
    flac[21:26] = bytes([flac[21] | 15, 255, 255, 255, 255])  # 2**36 frames
    for content in (forged, bytes(flac)):
        tracemalloc.start()
        try:
            samples, _ = decode(content)
            assert len(samples) <= 1600
        except InputError:
            pass
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()


@given(st.sampled_from(sorted(FORMATS)), st.data())
@settings(max_examples=150)
def test_damage_is_an_input_error_or_some_samples(suffix, data):
    content = bytearray(encoded(chirp(0.1), suffix=suffix))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    try:
        samples, rate = decode(bytes(content), 1)
        examine_sound(bytes(content))
    except InputError as error:
        assert str(error)
    else:
        assert samples.ndim == 1 and np.isfinite(samples).all() and rate > 0


@given(st.floats(0, 1e5), st.floats(0.01, 1e4), st.floats(0.5, 60), st.floats(0.1, 1))
def test_windows_cover_a_stretch(start, length, window, share):
    cut = cut_windows(start, start + length, window, share * window)
    assert cut[0][0] == start and all(first < last <= start + length + 1e-9 for first, last in cut)
    assert start + length - cut[-1][1] < window / 2 + 1e-6
    name = stretch_name("a b.wav", *cut[-1])
    found = parse_stretch(name)
    assert found is not None and found[0] == "a b.wav" and found[1:] == pytest.approx(cut[-1], abs=1e-5)


@given(st.from_regex(r".{0,9}#t=[0-9.,npt:e+-]{0,12}", fullmatch=True))
def test_any_name_is_a_stretch_or_not(name):
    found = parse_stretch(name)
    assert found is None or (0 <= found[1] < found[2] and name.startswith(found[0]))
