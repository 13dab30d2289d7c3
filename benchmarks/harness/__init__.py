"""The harness of the speed benchmarks: plain networks to compare with, one process for each measurement, tables."""
