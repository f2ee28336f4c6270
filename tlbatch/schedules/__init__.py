"""Studies that come back: what is applied, each firing from its lease to its record, the pinned images, the trend.

``schedule`` is what is applied, ``firing`` one time it runs (``opened`` → ``walks`` → ``concluding`` → ``firings``), ``pins``
the images that validate and test, ``holding`` the lease, ``applying`` and ``view`` what commands do and show.
"""
