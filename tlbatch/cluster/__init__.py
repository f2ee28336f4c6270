"""The cluster's API: a small client of JSON documents, watches, and what its words mean."""

from tlbatch.cluster.client import Cluster, open_cluster
from tlbatch.cluster.errors import AlreadyThereError, ClusterError, GoneError, NotThereError

__all__ = ["AlreadyThereError", "Cluster", "ClusterError", "GoneError", "NotThereError", "open_cluster"]
