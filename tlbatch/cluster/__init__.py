"""The cluster's API: a small client of JSON documents, watches, and what its words mean."""

from tlbatch.cluster.client import Cluster
from tlbatch.cluster.errors import AlreadyThereError, ClusterError, GoneError, NotThereError
from tlbatch.cluster.opening import open_cluster

__all__ = ["AlreadyThereError", "Cluster", "ClusterError", "GoneError", "NotThereError", "open_cluster"]
