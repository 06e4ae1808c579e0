"""The proof of stored results: every figure computed again, every input, model and file of the folder checked."""
