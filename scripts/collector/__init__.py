"""Facts about packages, read from a package index: file names, core metadata, and small files inside wheels."""
