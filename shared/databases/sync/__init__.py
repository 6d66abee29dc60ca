"""One table made like another: what the job `data_sync` is made of.

    plan        the two tables, in the order of their keys, and when two rows are the same
    walk        two streams along the key, compared page by page
    write       what differs, written
    tell        what differs, told: a dry run
    place       how far a sync is

Memory is bounded by a page of each table.
"""
