"""Whether a study's tasks survive what clusters do to them: interrupted on purpose and compared with an undisturbed run."""
