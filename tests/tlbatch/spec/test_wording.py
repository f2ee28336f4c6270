"""Whatever pydantic finds wrong with anybody's settings is said as a study's own mistakes are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from tlbatch.errors import StudyError
from tlbatch.profiles import decode_profile
from tlbatch.schema.base import Count, Fraction, Part, Positive
from tlbatch.schema.mistakes import Wording
from tlbatch.spec import parse_study
from tlbatch.spec.added import check_settings


class Inner(Part):
    side: Annotated[int, Field(lt=9)] = 3


class Settings(Part):
    """One field for every way in which a setting can be wrong."""

    count: Count = 1
    share: Fraction = 0.5
    factor: Positive = 1.0
    even: Annotated[int, Field(multiple_of=2)] = 2
    name: Annotated[str, Field(min_length=3, max_length=5)] = "abc"
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    colour: Annotated[str, Field(pattern="^#[0-9a-f]{6}$", description="a colour as #rrggbb")] = "#000000"
    mode: Literal["fast", "slow"] = "fast"
    units: Annotated[tuple[Count, ...], Field(min_length=1, max_length=3)] = (1,)
    pair: tuple[float, float] = (0.0, 1.0)
    finite: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    flag: bool = False
    inner: Inner = Inner()
    scales: dict[str, Positive] = Field(default_factory=dict)
    size: int | Literal["auto"] = 1
    much: int | float | Annotated[str, Field(pattern="^[0-9]+Mi$", description="an amount as 64Mi")] = 1
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} is even; write {value + 1}")
        return value


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "ge": ({"count": 0}, "count: must be at least 1, not 0"),
    "le": ({"share": 1.5}, "share: must be at most 1, not 1.5"),
    "gt": ({"factor": 0.0}, "factor: must be more than 0, not 0.0"),
    "lt": ({"inner": {"side": 9}}, "inner.side: must be less than 9, not 9"),
    "multiple": ({"even": 3}, "even: must be a multiple of 2, not 3"),
    "short": ({"name": "a"}, "name: must have at least 3 characters, not 'a'"),
    "long": ({"name": "abcdef"}, "name: must have at most 5 characters, not 'abcdef'"),
    "pattern": ({"code": "A"}, "code: must be of the form ^[a-z]+$, not 'A'"),
    "described": ({"colour": "red"}, "colour: must be a colour as #rrggbb, not 'red'"),
    "one of": ({"mode": "fats"}, "mode: must be one of fast, slow, not 'fats' (did you mean 'fast'?)"),
    "none of them": ({"units": []}, "units: must be at least 1 of them, not []"),
    "too many": ({"units": [1, 2, 3, 4]}, "units: must be at most 3 of them, not [1, 2, 3, 4]"),
    "inside a list": ({"units": [1, 0]}, "units.1: must be at least 1, not 0"),
    "no list": ({"units": 3}, "units: must be a list, not 3"),
    "of another length": ({"pair": [1.0]}, "pair.1: is missing"),
    "not finite": ({"finite": float("inf")}, "finite: must be a finite number, not Infinity"),
    "no truth": ({"flag": "si"}, "flag: must be true or false, not 'si'"),
    "fraction": ({"count": 1.5}, "count: must be a whole number, not 1.5"),
    "in a mapping": ({"scales": {"stage1": -1.0}}, "scales.stage1: must be more than 0, not -1.0"),
    "no mapping": ({"inner": 3}, "inner: must be a mapping (key: value), not 3"),
    "unknown": ({"cuont": 3}, "cuont: unknown key (did you mean 'count'?)"),
    "unknown inside": ({"inner": {"sied": 3}}, "inner.sied: unknown key (did you mean 'side'?)"),
    "either": ({"size": "atuo"}, "size: must be a whole number or auto, not 'atuo' (did you mean 'auto'?)"),
    "any number": ({"much": "lots"}, "much: must be a number or an amount as 64Mi, not 'lots'"),
    "the settings' own words": ({"odd": 4}, "odd: 4 is even; write 5"),
}


@pytest.mark.parametrize("which", WRONG)
def test_a_setting_of_a_plugin_is_refused_in_the_words_of_a_study(which: str) -> None:
    given, said = WRONG[which]
    (mistake,) = check_settings("example:thing", Settings, given, ("runs", 0, "model"))
    assert mistake.path[:4] == ("runs", 0, "model", "example:thing")
    assert f"{'.'.join(map(str, mistake.path[4:]))}: {mistake.text}" == said


def test_every_mistake_is_told_at_once() -> None:
    given = {key: value for settings, _ in list(WRONG.values())[:4] for key, value in settings.items()}
    assert len(list(check_settings("example:thing", Settings, given, ()))) == 4


def test_one_translation_serves_contexts_too() -> None:
    with pytest.raises(StudyError) as error:
        decode_profile({"namespcae": "pets", "store": 3}, "contexts.dev")
    said = str(error.value).splitlines()
    assert said == [
        'contexts.dev.store: must be text, not 3 (put it in quotes: "3")',
        "contexts.dev.namespcae: unknown key (did you mean 'namespace'?)",
    ]


def test_the_words_of_pydantic_reach_nobody() -> None:
    """Of all the ways to be wrong together: none of its phrases is left."""
    for given, _ in WRONG.values():
        with pytest.raises(ValidationError) as error:
            Settings.of(given)
        for mistake in Wording(Settings.model_json_schema()).mistakes(given, error.value):
            assert not any(phrase in mistake.text for phrase in ("should", "Input", "Value error", "valid"))


OF_A_RUN = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: pets}}
runs:
  - {{name: only, model: {{backbone: mobilenet_v2, head: {head}}}, strategy: {strategy}}}
"""
INSTEAD = "cannot be there together with the other keys: it is said instead of them"


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("{finetune: {unfreez: all}}", ["strategy.finetune.unfreez: unknown key (did you mean 'unfreeze'?)"]),
        ("{}", ["strategy: is empty: features or scratch or one of the keys finetune, adapt, adapt_network is asked for"]),
        ("{finetune: 3}", ["strategy.finetune: must be a mapping (key: value), not 3"]),
        ("{finetun: {unfreeze: all}}", ["strategy.finetun: unknown key (did you mean 'finetune'?)"]),
        ("{warm: {}}", ["strategy.warm: unknown key (known here: finetune, adapt, adapt_network)"]),
        ("{features: {views: 3}}", ["strategy.features: takes no settings: write strategy: features"]),
        ("{adapt: {few: 0}}", ["strategy.adapt.few: must be at least 1, not 0"]),
        ("{adapt: {}, finetune: {}}", [f"strategy.adapt: {INSTEAD}", f"strategy.finetune: {INSTEAD}"]),
    ],
)
def test_of_several_alternatives_the_one_that_was_meant_speaks(strategy: str, said: list[str]) -> None:
    """Fails when those that were not meant call its key unknown, or miss their own."""
    with pytest.raises(StudyError) as error:
        parse_study(OF_A_RUN.format(head="{}", strategy=strategy))
    assert str(error.value).splitlines() == [f"study.yaml:7: runs[0].{each}" for each in said]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("{logistc: {}}", "head.logistc: unknown key (did you mean 'logistic'?)"),
        ("{knn: {k: 0}}", "head.knn.k: must be at least 1, not 0"),
        ("{dense: [3], dropuot: 0.2}", "head.dropuot: unknown key (did you mean 'dropout'?)"),
    ],
)
def test_heads_likewise(head: str, said: str) -> None:
    with pytest.raises(StudyError) as error:
        parse_study(OF_A_RUN.format(head=head, strategy="features"))
    assert str(error.value) == f"study.yaml:7: runs[0].model.{said}"
