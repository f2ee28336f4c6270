"""The parameters of each step's tasks: one frozen model a step, which planning writes and the step reads."""
