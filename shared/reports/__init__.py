"""Reports: rows into files for people. A format is a function `write(report, rows, out)` in a file of its own."""
