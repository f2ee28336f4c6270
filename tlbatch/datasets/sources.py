"""A study's sources, listed as its dataset is; what is wrong with one is said by its own name."""

from __future__ import annotations

import re

from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.listing import Listing
from tlbatch.errors import DataError, StudyError
from tlbatch.spec.dataset import Images, Source

_FIELDS = re.compile(rf"\bdataset\.({'|'.join([*Images.model_fields, 'split'])})\b")


def list_source(name: str, source: Source) -> Listing:
    """Raises as ``list_dataset``."""
    try:
        return list_dataset(source)
    except (StudyError, DataError) as error:
        said = _FIELDS.sub(rf"sources.{name}.\1", str(error))
        raise type(error)(said if said != str(error) else f"sources.{name}: {said}") from error
