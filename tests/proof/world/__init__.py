"""A deterministic world for the daemon's own code: every clock, answer, fault and death comes from one seed.

`steps` are what may happen, drawn up front as a plain list; `upstream` tells answers, `wire` carries them to the real
client; `process` is a daemon whose clock and database are the world's, `doom` its end, `link` its way to PostgreSQL;
`receivers`, `reader`, `operator` and `versions` are who and what is around it; `scene` plays the steps; `witness` has
what must hold, `flat` what a world may not leave behind. But for the ends of threads, which `flat` waits for, nothing
here reads a wall clock, and nothing of it knows a rule of syncer's.
"""
