"""Building without the docker program: a client of BuildKit's own interface.

`address` and `transport` reach a daemon, `grpc` speaks with it, `session` serves what it asks back (`context_files`
sends the project), `client` has the calls of a build, and `model_image` makes the image of a project with them. The
library h2 is needed (`pip install cogc[buildkit]`); it is imported only here.
"""
