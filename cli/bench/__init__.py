"""The project's own benchmarks: what `routec bench` measures."""
