"""Published JSON Schemas. Data only; read through `cogc._data`."""
