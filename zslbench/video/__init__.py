"""From videos to feature sets: folders, frames, clips, backbones and their extraction."""
