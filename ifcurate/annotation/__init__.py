"""The columns beside the text: their schema, how they are made, written and read back."""
