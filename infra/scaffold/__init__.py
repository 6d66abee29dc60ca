"""What `longshore new` writes into a clone: the pieces of a job type, and its entries where the others have theirs."""
