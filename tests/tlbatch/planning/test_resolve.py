"""What the listing tells is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.errors import TlbatchError
from tlbatch.planning.resolve import resolve
from tlbatch.spec import load_study
from tlbatch.store.directory import DirectoryStore

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: images, split: {train: %s, validation: 2, test: 2}}
runs:
  - {name: cnn, model: {scratch: {}}, train: {class_weights: {%s: 2.0}}}
"""


@pytest.mark.parametrize(
    ("train", "weighed", "said"),
    [
        ("4", "beagle", ""),
        ("4", "beagel", "runs[0].train.class_weights: the dataset has no class 'beagel' (did you mean 'beagle'?)"),
        ("1", "beagle", "dataset.split: 1 image to train on, and 3 classes: every class needs one"),
    ],
)
def test_classes_that_are_not_there_and_parts_that_cannot_be(train: str, weighed: str, said: str, tmp_path: Path) -> None:
    for name in ("beagle", "dingo", "whippet"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "images" / name / f"{number}.jpg").write_bytes(b"listed, never read")
    (tmp_path / "study.yaml").write_text(STUDY % (train, weighed))
    loaded, store = load_study(str(tmp_path / "study.yaml")), DirectoryStore(tmp_path / "store")
    if not said:
        assert [run.name for run in resolve(loaded, store).runs] == ["cnn"]
        return
    with pytest.raises(TlbatchError) as error:
        resolve(loaded, store)
    assert str(error.value) == said
    assert error.value.exit_code in (2, 65)
