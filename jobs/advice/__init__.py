"""Advice which backbone to take: images, scores of features, what they are held against, and how it is told."""
