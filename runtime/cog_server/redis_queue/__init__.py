"""Predictions from a Redis queue: a second front door of the server, beside HTTP.

Messages come from a stream that consumers share, run as predictions of the same `Runner`, and are answered by webhook
or with values and lists in Redis. A message is acknowledged when its last answer is delivered, never before, so
whatever happens to this process it is run again: once at least, and by another consumer if need be.
"""
