"""The front end: the user's files as text → checked configuration → unresolved IR. Reads no files itself."""
