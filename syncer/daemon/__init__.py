"""Runs on a schedule for years: the loop, one account's run with its lease and pings, health and metrics.

What a run does is told by `syncer.sync`, which nothing here repeats; settings and the environment are handed in.
"""
