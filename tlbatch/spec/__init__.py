"""Studies: YAML to validated, immutable objects."""

from tlbatch.spec.decode import json_schema
from tlbatch.spec.load import LoadedStudy, load_study, parse_study
from tlbatch.spec.study import Run, Study

__all__ = ["LoadedStudy", "Run", "Study", "json_schema", "load_study", "parse_study"]
