"""Which documents are worth an exact score: learnt from documents that have one."""
