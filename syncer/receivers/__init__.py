"""Who is told what, and in which words: receivers, the news they are sent, formats, and what a reply means.

Pure: time is an argument, nothing is read, sent or logged. What is sent when is told by `syncer.send`.
"""
