"""The demo: sample traffic over an embedded broker."""
