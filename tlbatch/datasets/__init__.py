"""Labelled images where they lie: listed, labelled, relabelled, copied."""
