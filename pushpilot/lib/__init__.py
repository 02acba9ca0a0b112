"""The bottom layer: pure helpers that import nothing of ours."""
