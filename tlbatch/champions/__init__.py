"""The models that schedules stand by: who terms, changes by hand, what is taken along."""
