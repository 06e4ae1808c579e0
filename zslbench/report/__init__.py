"""Reports: pictures, tables and pages of results."""
