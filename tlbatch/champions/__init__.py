"""The models that schedules stand by: who reigns, changes by hand, what is taken along."""
