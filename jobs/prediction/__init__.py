"""Predicting items nobody labelled: read and decoded as prepare does, computed as evaluate does."""
