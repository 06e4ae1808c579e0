"""Built-in backbones, found through the entry points of the group ``zslbench.backbones``."""
