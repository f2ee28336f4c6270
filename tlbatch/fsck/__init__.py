"""``tlbatch fsck``: whether a store still holds what was written to it, and what to do where it does not."""
