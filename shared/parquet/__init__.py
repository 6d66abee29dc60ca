"""Parquet files that anybody may have made, read in a process of its own."""
