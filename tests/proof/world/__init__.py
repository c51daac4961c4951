"""A deterministic world for the daemon's own code: every clock, answer, fault and death comes from one seed.

`steps` are what may happen, drawn up front as a plain list; `upstream` tells answers, `wire` carries them to the real
client; `process` is a daemon whose clock, database and end are the world's; `scene` plays the steps; `witness` has what
must hold. Nothing here reads a wall clock, and nothing of it knows a rule of syncer's.
"""
