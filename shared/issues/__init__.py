"""What the jobs on GitHub issues know and touch: GitHub, a language model, patches, and text for others to read."""
