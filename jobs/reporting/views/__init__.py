"""The page's sections as plain values: each module fills one template, draws its figures, and leaves out what is not there."""
