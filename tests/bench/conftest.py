"""Benches on the cluster use the fixtures of its tests."""

from tests.e2e.conftest import (  # noqa: F401
    api,
    bucket,
    cluster,
    dataset,
    images,
    namespace,
    pictures,
    store_url,
    user,
)
