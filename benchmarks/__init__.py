"""Benchmarks: suites of runs, their records, and tables beside the papers' numbers."""
