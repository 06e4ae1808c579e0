"""The ledger: published figures and the papers that they come from."""
