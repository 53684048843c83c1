"""The HTTP server of an image: predictions and trainings, served by a worker process that owns the model.

It runs in a private virtual environment, started isolated, and never imports the model or its packages. Of the SDK
it imports `cog` for its version and `cog.frames` for the protocol.
"""
