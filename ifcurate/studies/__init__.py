"""Studies: what a paper compares, declared in one file; the pieces it is made of, and the table it ends with."""
