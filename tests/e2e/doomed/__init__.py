"""Job functions that die as they are asked to, run in a copy of the stack whose every wait is short."""
