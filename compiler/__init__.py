"""cogc: compiles cog.yaml to Dockerfiles. The public entry points are `cogc.driver` and `cogc.cli`."""

__version__ = "0.1.0"
