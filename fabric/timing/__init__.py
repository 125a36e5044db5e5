"""PURE: the clock's offset and bound, and the lead time of a go."""
