"""Kinds of data: which files, what may be set of them, how they are fed and what they cost. Without torch.

A kind's other half, which reads and computes, is where its entry's ``items_program`` and ``feed_program`` say (``jobs.kinds``).
"""

from tlbatch.kinds.entry import Kind
from tlbatch.kinds.registry import DEFAULT_KIND, KINDS, fed_shape, kind_field, kind_of, speak_of

__all__ = ["DEFAULT_KIND", "KINDS", "Kind", "fed_shape", "kind_field", "kind_of", "speak_of"]
