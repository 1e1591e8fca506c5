"""The tables of a results folder. Their place, schema, validation and reading."""
