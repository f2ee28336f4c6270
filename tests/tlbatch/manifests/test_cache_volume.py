"""A claim that tasks share as their cache: a setting of the context, mounted where files are fetched and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tlbatch.manifests.test_ca_bundle import Build
from tests.tlbatch.manifests.test_ca_bundle import builders as builders
from tlbatch.errors import StudyError
from tlbatch.manifests import Site
from tlbatch.manifests.site import CacheVolume
from tlbatch.profiles import CacheClaim, Profile, decode_profile

CACHE = CacheVolume("fast", "50Gi")


def told(spec: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}


@pytest.mark.parametrize("kind", ["step", "prediction"])
def test_tasks_mount_it_writable_and_are_told(kind: str, site: Site, builders: dict[str, Build]) -> None:
    """Fails when the volume, its mount, a variable or the group that may write there is missing."""
    spec = builders[kind](replace(site, cache=CACHE))
    (volume,) = [each for each in spec["volumes"] if "persistentVolumeClaim" in each]
    assert volume["persistentVolumeClaim"] == {"claimName": "fast"}
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == volume["name"]]
    assert not mount.get("readOnly")
    assert (told(spec)["TLBATCH_CACHE"], told(spec)["TLBATCH_CACHE_SIZE"]) == (mount["mountPath"], "50Gi")
    assert [each["name"] for each in spec["containers"][0]["env"]].count("TLBATCH_CACHE") == 1
    context = spec["securityContext"]
    assert (context["fsGroup"], context["fsGroupChangePolicy"], context["runAsNonRoot"]) == (10001, "OnRootMismatch", True)


@pytest.mark.parametrize("kind", ["driver", "firing"])
def test_drivers_do_not_mount_it(kind: str, site: Site, builders: dict[str, Build]) -> None:
    """A claim of one node would bind them to it, and they fetch nothing."""
    assert builders[kind](replace(site, cache=CACHE))["volumes"] == builders[kind](site)["volumes"]


@pytest.mark.parametrize("kind", ["driver", "step", "firing", "prediction"])
def test_without_one_a_pods_cache_is_its_own_scratch(kind: str, site: Site, builders: dict[str, Build]) -> None:
    spec = builders[kind](site)
    assert told(spec)["TLBATCH_CACHE"] == "/tmp/cache"
    assert "TLBATCH_CACHE_SIZE" not in told(spec)
    assert "fsGroup" not in spec["securityContext"]


def test_without_a_size_none_is_told(site: Site, builders: dict[str, Build]) -> None:
    assert "TLBATCH_CACHE_SIZE" not in told(builders["step"](replace(site, cache=CacheVolume("fast"))))


def test_a_context_says_it_and_it_travels_to_the_driver() -> None:
    profile = Profile(images="r.example/x", store="s3://a/b", cache=CacheClaim(claim="fast", size="50Gi"))
    assert profile.site().cache == CACHE
    assert Site.from_json(profile.site().to_json()) == profile.site()
    assert '"cache"' not in replace(profile.site(), cache=None).to_json()


WRONG: dict[str, tuple[Any, str]] = {
    "no claim": ({"size": "1Gi"}, r"cache\.claim"),
    "no name": ({"claim": "Not A Name"}, r"cache\.claim"),
    "no size": ({"claim": "fast", "size": "much"}, r"cache\.size.*quantity"),
    "unknown": ({"claim": "fast", "sice": "1Gi"}, "sice.*size"),
    "a name alone": ("fast", "cache"),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG)
def test_what_is_none_is_a_sentence(given: Any, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        decode_profile({"cache": given}, "config.yaml")


def test_a_size_that_holds_nothing_is_a_sentence() -> None:
    profile = Profile(images="r.example/x", store="s3://a/b", cache=CacheClaim(claim="fast", size="1Mi"))
    with pytest.raises(StudyError, match=r"cache\.size=1Mi: a cache of less than 64Mi"):
        profile.site()
