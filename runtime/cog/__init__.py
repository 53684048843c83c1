"""The SDK that model code imports. Its names come with the runtime; this version marks its place."""

__version__ = "0.1.0"
