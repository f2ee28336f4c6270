"""Bringing the features of labelled sources and of a target together. No method here is handed a label."""
