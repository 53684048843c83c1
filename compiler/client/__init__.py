"""A client of models: inputs from the command line, the HTTP requests, and what becomes of the output.

All it knows of a model is its OpenAPI document, and of a server its URL; where the model runs is no matter.
"""
