"""The engine that runs each worker in a process of its own, under a supervisor process: a star of sockets.

    caller ◄──── one socket ────► supervisor (the scheduler) ◄──── one socket each ────► workers

The caller's side is ``client``, which the processes of a run do not import.
"""
