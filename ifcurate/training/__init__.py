"""The penalised loss of Eq. 9, packed rows of an annotated corpus, and a trainer that steps on both."""
