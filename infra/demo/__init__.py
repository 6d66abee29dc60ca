"""The demonstration: a sample shop goes through extract, backup and restore, and what comes back is proved equal."""
