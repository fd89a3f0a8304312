"""A better H^-1 g than EK-FAC's: (G + D) v = g, solved over the tracked weights by matrix products alone.

G is the Gauss-Newton matrix: the mean over windows of the sum over tokens of J^T (diag p - p p^T) J, where J is the
derivative of a token's logits by the tracked weights and p the model's probabilities; corrected eigenvalues are its
diagonal in EK-FAC's basis, so both have the same unit. D is the damping of each layer. EK-FAC's inverse with the same
damping is where every method starts, and its preconditioner.
"""

from __future__ import annotations

from dataclasses import dataclass

NONE = "none"


@dataclass(frozen=True)
class Method:
    """A way to refine: where its class is, and what it does where the settings say nothing.

    Attributes:
        home: module and class.
        steps: products with the matrix.
        tokens: of the sample that a step reads.
        fixed_sample: whether every step reads the same sample.
    """

    home: str
    steps: int
    tokens: int
    fixed_sample: bool


REFINEMENTS: dict[str, Method] = {
    "cg": Method("ifcurate.influence.refinement.conjugate_gradient:ConjugateGradient", 20, 16_384, True),
    "astra": Method("ifcurate.influence.refinement.astra:Astra", 80, 4096, False),
}
"""By name. Either reads 330,000 tokens at most, at three times the cost of scoring them: a tenth of what scoring ten
million tokens costs."""
