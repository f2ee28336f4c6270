"""Batch prediction: which model, of which pictures, into which parts. Here and on a cluster."""
