"""OpenAPI documents as values: read from files, checked, and compared. Making them is the business of `signature`."""
