"""`python -m cogc`."""

from .cli import main

raise SystemExit(main())
