"""EK-FAC curvature of the tracked layers: fitted, stored, and inverted.

For each linear layer the Fisher matrix is approximated in the eigenbasis of the covariances of its inputs and of
its output gradients, with corrected eigenvalues: one gradient a window, labels sampled from the model (true Fisher).
"""
