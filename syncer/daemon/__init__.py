"""Runs on a schedule for years: the loop, one account's run with its lease and pings, health and metrics.

A single run of `syncer sync`, too, gets its lease and its pings in `leased_runs`. What a run does is told by
`syncer.sync`, which nothing here repeats; settings and the environment are handed in.
"""
