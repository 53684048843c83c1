"""What runs in the container, as files: located by cogc, never imported by it."""
