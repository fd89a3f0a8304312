"""Algorithm 1 of IF-Guide over the scores of a whole corpus, and the mask as character spans."""
