"""Bringing the features of labelled sources and of a target together. Nothing here is handed a label that it may not read."""
