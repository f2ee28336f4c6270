"""Bringing the features of labelled sources and of a target together. No method but TrAdaBoost is handed a label."""
