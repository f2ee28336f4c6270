"""Where tasks run: one small protocol, and what stands behind it."""

from tlbatch.backends.protocol import Backend, Ended

__all__ = ["Backend", "Ended"]
