"""The whole system on one machine, from the same template that deploys it."""
