"""One file per command; `infra/cli/app.py` finds each by its name."""
