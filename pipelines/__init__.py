"""datatrove steps of ifcurate, one file each, and the recipes that wire them to executors."""
