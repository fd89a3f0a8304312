"""datatrove steps of ifcurate, one a file, for anybody's pipeline."""
