"""What the benchmarks of the stream share."""
