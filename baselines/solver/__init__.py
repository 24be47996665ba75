"""The relaxation, its bounds and the searches over whole draft lengths: the mathematics behind the controllers.

``docs/relaxation.md`` gives the iteration its symbols; read ``newton`` and ``stationarity`` beside it.
"""
