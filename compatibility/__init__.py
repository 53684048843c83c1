"""Compatibility tables, as data: JSON files, their schemas and the matrix version."""
