"""The methods that build a pipeline, by what they do to the stream; ``Pipeline`` inherits them all.

    base.py        an outlet of a graph and run options; how a stage is added; errors on the user's line
    source.py      what is given to read
    mapping.py     one item at a time: task, starmap, filter, explode, tap
    objects.py     likewise, with something to hold: class_task, cached_task, uncache
    grouping.py    many items in: batch, temporal_batch, window, bucket, reduce, scan, checkpoint
    flow.py        which items, when: limit, skip, latest, timeout, throttle, unique, shuffle, enumerate, repeat, debug
    branching.py   more than one stream: split, gather, zip, rejoin
    joining.py     what must be true of streams that meet

Considered and refused: methods made from the stage classes at run time (no editor could complete them, no type checker check them).
"""
