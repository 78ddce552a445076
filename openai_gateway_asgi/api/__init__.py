"""The OpenAI API as data: its operations, and the paths that a host opens by hand."""
