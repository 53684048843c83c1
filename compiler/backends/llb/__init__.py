"""The LLB back end: resolved IR → a graph of BuildKit's operations, as bytes that a daemon solves.

`lower` makes the graph (`ops`), `definition` marshals it with `wire` by the tables of `schema`, `text` and
`document` print it for people and programs.
"""
