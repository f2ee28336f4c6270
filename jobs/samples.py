"""Two small sets of pictures for the quickstart, made on the spot: ``python -m jobs.samples source|digits DIR``.

``source``: digits drawn from the fonts that matplotlib ships, sheared, rotated, thick and thin, as 8x8 grey PNG files.
``digits``: scikit-learn's 1,797 real handwritten digits (UCI, 8x8, 17 grey levels) as PNG files. Both: one folder a class.
A folder is there whole or not at all, and is not made twice.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tlbatch import output
from tlbatch.errors import TlbatchError

SIZE = 8  # pixels a side, as in scikit-learn's digits
LEVELS = 16  # the handwritten digits were made by counting set pixels in 4x4 blocks of a 32x32 bitmap
_CANVAS, _BITMAP = 160, 32
_NO_DIGITS = ("STIXSiz", "STIXNonUni", "cmex", "cmsy", "cmmi", "cmtt", "LastResort")  # symbols, or digits of another kind


@dataclass(frozen=True)
class Drawing:
    """How far a drawn digit may stray: rotation in degrees, shear as a slope, size in pixels of the 32x32 bitmap."""

    rotate: float = 12.0
    shear: float = 0.35
    stroke: tuple[int, int] = (0, 5)
    height: tuple[int, int] = (28, 32)
    width: tuple[float, float] = (0.75, 1.15)


def font_files() -> list[Path]:
    """matplotlib's fonts that have plain digits, by name."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(file for file in folder.glob("*.ttf") if not file.name.startswith(_NO_DIGITS) and "Display" not in file.name)


def draw_digit(digit: int, font: ImageFont.FreeTypeFont, chance: random.Random, how: Drawing = Drawing()) -> Image.Image:
    """One 8x8 grey picture (white on black, multiples of 255/16)."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    stroke = chance.randint(*how.stroke)
    middle = _CANVAS / 2
    ImageDraw.Draw(canvas).text((middle, middle), str(digit), 255, font=font, anchor="mm", stroke_width=stroke)
    shear = chance.uniform(-how.shear, how.shear)
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, (1, shear, -shear * middle, 0, 1, 0), Image.Resampling.BILINEAR
    )
    canvas = canvas.rotate(chance.uniform(-how.rotate, how.rotate), Image.Resampling.BILINEAR)
    box = canvas.getbbox()
    if box is None:
        raise TlbatchError(f"the font {font.path!r} draws nothing for the digit {digit}")
    ink = canvas.crop(box)
    height = chance.randint(*how.height)
    width = round(min(_BITMAP, max(4.0, ink.width / ink.height * height * chance.uniform(*how.width))))
    ink = ink.resize((width, height), Image.Resampling.BILINEAR).point(lambda value: 255 if value > 127 else 0)
    bitmap = Image.new("L", (_BITMAP, _BITMAP))
    bitmap.paste(ink, ((_BITMAP - width) // 2, (_BITMAP - height) // 2))
    return bitmap.reduce(_BITMAP // SIZE).point(_level)


def _level(value: int) -> int:
    return round(round(value / 255 * LEVELS) * 255 / LEVELS)


def drawn_digits(per_class: int = 300, seed: int = 0) -> Iterator[tuple[int, str, Image.Image]]:
    """(digit, name, picture), every font in turn."""
    fonts = [ImageFont.truetype(str(file), 96) for file in font_files()]
    chance = random.Random(seed)
    for digit in range(10):
        for number in range(per_class):
            yield digit, f"{number:04d}", draw_digit(digit, fonts[number % len(fonts)], chance)


def real_digits() -> Iterator[tuple[int, str, Image.Image]]:
    """(digit, name, picture) of scikit-learn's handwritten digits, in their order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (picture, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        grey = (picture * 255.0 / LEVELS).round().astype("uint8")
        yield int(digit), f"{number:04d}", Image.fromarray(grey)


KINDS: dict[str, Callable[[], Iterator[tuple[int, str, Image.Image]]]] = {"source": drawn_digits, "digits": real_digits}


def make_samples(kind: str, folder: Path) -> int:
    """Fill ``folder`` with one folder a class and return the number of pictures; what is there already is left alone.

    The pictures are written beside it and moved in one step. Raises TlbatchError when something else is in the way.
    """
    if _is_made(folder):
        return sum(1 for _ in folder.glob("*/*.png"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TlbatchError(f"{folder} holds something else; name an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        count = 0
        for digit, name, picture in KINDS[kind]():
            target = making / str(digit)
            target.mkdir(exist_ok=True)
            picture.save(target / f"{name}.png")
            count += 1
        making.chmod(0o755)
        _move(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return count


def _is_made(folder: Path) -> bool:
    """Whether the ten class folders are there: they come in one step, so then all of their pictures are there too."""
    return all((folder / str(digit)).is_dir() for digit in range(10))


def _move(making: Path, folder: Path) -> None:
    try:
        making.replace(folder)
    except OSError:
        if not _is_made(folder):  # else another process was faster, and its pictures are the same
            raise


def main(arguments: list[str] | None = None) -> int:
    """Command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.samples", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        count = make_samples(given.kind, given.folder)
    except TlbatchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{given.folder}: {count} pictures")
    return 0


if __name__ == "__main__":
    output.install()
    sys.exit(main())
