"""The container's command."""
