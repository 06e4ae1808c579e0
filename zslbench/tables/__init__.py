"""Tables as text, written in one place for every format."""
