"""Engine, Kafka worker, configuration and what watches them."""
