"""tlbatch: transfer learning as batch jobs."""

__version__ = "0.1.0"
