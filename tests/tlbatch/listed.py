"""The smallest study: of a folder whose pictures are only listed, never opened."""

from __future__ import annotations

from pathlib import Path

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: {name}
dataset: {{url: images, split: {{train: 4, validation: 2, test: 2}}}}
runs:
  - name: cnn
    model: {{scratch: {{channels: [4], dense: [8]}}}}
    input: {{size: 8}}
"""


def lay_out(folder: Path, name: str, labels: tuple[str, str]) -> Path:
    """Six files of each label in ``folder/images``; returns the study's path beside them."""
    for label in labels:
        (folder / "images" / label).mkdir(parents=True)
        for number in range(6):
            (folder / "images" / label / f"{number}.png").write_bytes(b"only listed here")
    path = folder / "study.yaml"
    path.write_text(STUDY.format(name=name))
    return path
