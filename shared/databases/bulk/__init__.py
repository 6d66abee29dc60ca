"""A file of somebody's rows into one table: what the job `bulk_import` is made of.

    files       rows out of CSV and JSON lines, by the batch, with their lines
    columns     what a column's cells must be
    target      the table, and how rows get there: insert, upsert, replace
    load        all of it, for one invocation

Runs in a session's thread. Memory is bounded by bytes, whatever the file.
"""
