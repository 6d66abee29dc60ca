"""SQLite by the standard library. Needs SQLite 3.37 (2021) for `PRAGMA table_list`."""
