"""A plan carried out: the driver, what each task stands at, retries, and the driver as a Job."""
