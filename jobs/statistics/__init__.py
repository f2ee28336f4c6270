"""All statistics of tlbatch: evaluation, reporting, comparing and promotion take them from here, and none from each other.

What is counted is a *unit*: what is independent of all else in a test set. That is an image, or all the images that are
copies of one picture or belong to one group (a burst, a patient).

units          numbering units, sums over each, the standard error of a mean over them and Student's t of a value over it
permutation    the exact test of a paired difference, two- or one-sided: sign flips of units (McNemar's for single images)
differences    two models on the same images: difference, interval, test; one seed or several
score          the score interval of a paired difference, over units and seeds
clusters       the design effect: how much less images of one unit say
over_seeds     seeds and units as crossed random effects: mean squares; the interval of a mean over seeds
corrections    Holm, Benjamini and Hochberg
power          the smallest difference that a test shows four times in five
shares         intervals of one share (Wilson), also over units
bootstrap      other test sets like this one; percentile and basic intervals
calibrated     what chance makes of the calibration error of a perfect model
sequential     tests and intervals that may be looked at again and again
chance         whether a share is above chance
macro_f1       the difference of two models' macro F1
cross_validated  shares and differences where the models that judge share training images
ranks          agreement of two rankings
estimate       a value with its interval
"""
