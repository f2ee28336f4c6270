"""A backbone is fed as its weights were trained, unless the run says otherwise; and what differs is named."""

from __future__ import annotations

from typing import Any

import pytest

from tlbatch.backbones.catalogue import backbones, weights_of
from tlbatch.backbones.preprocessing import NORMALIZATIONS, mismatch
from tlbatch.kinds.image import Input, resolve_input

OWN = {f"{name} {weight.name}": dict(weight.input) for name in sorted(backbones()) for weight in weights_of(name)[:2]}
SAID: dict[str, tuple[Any, str]] = {
    "size": (77, "size 77 instead of"),
    "resize": ("pad", "resize pad instead of"),
    "crop": (0.5, "crop 0.5 instead of"),
    "interpolation": ("nearest", "interpolation nearest instead of"),
    "grayscale": (True, "grayscale yes instead of no"),
}


@pytest.mark.promise(4)
@pytest.mark.parametrize("weights", OWN)
def test_a_run_that_says_nothing_is_fed_as_its_weights_were_trained(weights: str) -> None:
    """Fails when a run that says nothing is fed as a scratch network is."""
    own = OWN[weights]
    fed = resolve_input(Input(), own)
    assert {name: fed[name] for name in own} == own
    assert mismatch(fed, own) == []


@pytest.mark.promise(4)
@pytest.mark.parametrize("weights", list(OWN)[:6])
@pytest.mark.parametrize("field", SAID)
def test_what_a_run_says_is_done_and_named_and_nothing_else(weights: str, field: str) -> None:
    """Fails when ``mismatch`` does not look at one of these fields. Of ``crop`` nothing was said before."""
    own, (value, words) = OWN[weights], SAID[field]
    fed = resolve_input(Input(**{field: value}), own)
    assert fed[field] == value
    assert {name for name in own if fed[name] != own[name]} <= {field, *(("crop",) if field == "resize" else ())}
    (named,) = mismatch(fed, own)
    assert named.startswith(words)


@pytest.mark.promise(4)
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_other_pixels_than_the_weights_own_are_named(normalize: Any) -> None:
    """Fails when ``mismatch`` compares the means alone: ``unit`` and a byte scale with no mean would be alike."""
    for own in OWN.values():
        fed = resolve_input(Input(normalize=normalize), own)
        same = all(fed[name] == own[name] for name in ("mean", "std", "channels", "scale"))
        assert len(mismatch(fed, own)) == (not same)
