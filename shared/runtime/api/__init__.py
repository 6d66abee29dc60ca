"""The HTTP API: a table of routes over the service. It does not know what carries it."""
