"""The local engine: jobs as process groups of this machine. It isolates nothing.

Importing this package costs nothing: the supervisor of each job lives in it as well.
"""
