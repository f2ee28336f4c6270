"""The scripted API server."""

from tests.tlbatch.cluster.conftest import client, server

__all__ = ["client", "server"]
