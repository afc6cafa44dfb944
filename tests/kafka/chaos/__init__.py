"""Workers under fire: scenarios drawn from a seed, faults, and a checker of what is left."""
