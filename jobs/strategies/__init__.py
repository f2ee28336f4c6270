"""Ways to learn: for each the function that trains, (context, settings, parts, device) -> Outcome, as its entry names it."""
