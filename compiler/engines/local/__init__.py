"""The local engine: virtual environments on this machine; engine.py is where to begin."""
