"""The steps and the versions of their output. Raise a version when the same parameters give another output."""

STEP_VERSIONS: dict[str, int] = {
    "prepare": 2,
    "pin": 2,
    "extract": 1,
    "finetune": 2,
    "evaluate": 3,
    "decide": 2,
    "report": 5,
    "predict": 2,
}
