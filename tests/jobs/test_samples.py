"""The quickstart's pictures: the same on every machine's every call, whole or not there, and learnable."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageFont

from jobs import samples
from tlbatch.errors import TlbatchError


def pictures(kind):
    return [(digit, name, np.asarray(picture)) for digit, name, picture in kind]


def test_drawn_digits_are_small_grey_and_the_same_each_time():
    first, again = pictures(samples.drawn_digits(4)), pictures(samples.drawn_digits(4))
    assert len(first) == 40
    assert sorted({digit for digit, _, _ in first}) == list(range(10))
    for (_, _, one), (_, _, other) in zip(first, again, strict=True):
        assert np.array_equal(one, other)
        assert one.shape == (8, 8)
        assert one.max() > 100


def test_every_font_has_plain_digits():
    fonts = samples.font_files()
    assert len(fonts) >= 15
    for file in fonts:
        font = ImageFont.truetype(str(file), 96)
        boxes = {font.getmask(str(digit)).getbbox() for digit in range(10)}
        drawn = {bytes(font.getmask(str(digit))) for digit in range(10)}
        assert len(drawn) == 10, file.name  # a font of symbols shows one box for all of them
        assert None not in boxes, file.name


def test_another_seed_draws_others():
    font = ImageFont.truetype(str(samples.font_files()[0]), 96)
    one, other = (np.asarray(samples.draw_digit(3, font, random.Random(seed))) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_real_digits_keep_their_grey_levels(tmp_path):
    from sklearn.datasets import load_digits

    folder = tmp_path / "deep" / "digits"
    assert samples.make_samples("digits", folder) == 1797
    original = load_digits()
    kept = np.asarray(Image.open(folder / str(original.target[17]) / "0017.png"))
    assert np.array_equal(np.round(kept / 255 * 16), original.images[17])


def test_made_once_and_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(samples.KINDS, "source", lambda: samples.drawn_digits(2))
    folder = tmp_path / "source"
    assert samples.make_samples("source", folder) == 20
    assert [child.name for child in tmp_path.iterdir()] == ["source"]
    before = (folder / "3" / "0001.png").stat().st_mtime_ns
    assert samples.make_samples("source", folder) == 20
    assert (folder / "3" / "0001.png").stat().st_mtime_ns == before


def test_a_death_half_way_leaves_nothing(tmp_path, monkeypatch):
    def dies():
        yield 0, "0000", Image.new("L", (8, 8))
        raise KeyboardInterrupt

    monkeypatch.setitem(samples.KINDS, "source", dies)
    with pytest.raises(KeyboardInterrupt):
        samples.make_samples("source", tmp_path / "source")
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_stays(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TlbatchError, match="holds something else"):
        samples.make_samples("source", tmp_path)
    assert samples.main(["source", str(tmp_path)]) != 0
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
