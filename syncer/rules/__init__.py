"""What it means: transitions, the guard, the timeline, when a run is due.

Pure: time is an argument, nothing is read, written or logged. How an answer is read is for `answer`.
"""
