"""Advice which backbone to take: the study that asks, what was said, what it costs to follow."""
