"""`python -m cogc`."""

from .cli import main

status = main()
# An interrupt that came out of `exec`, as where a dataclass is made, stays noted although it was caught, and Python
# would end itself with SIGINT instead of our status. The next `exec` forgets it.
exec("")
raise SystemExit(status)
