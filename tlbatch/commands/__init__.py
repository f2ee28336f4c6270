"""The commands of ``tlbatch``, by subject."""
