"""A class more for a model that is trained: what the step ``extend`` is made of."""
