"""ifcurate: influence-based curation of training corpora (IF-Guide, NeurIPS 2025).

The pieces that other code uses are here by name, and imported when first used, since torch takes seconds:

- annotating: `RunConfig`, `annotate`, `AnnotatedCorpus`
- scoring: `ScoreSettings`, `load_scorer`, `Direction`, `load_direction`, `save_direction`
- selection: `SelectionSettings`, `select`, `Ranges`, `mask_to_spans`, `spans_to_mask`
- training: `penalized_loss`, `Penalty`, `PENALTY_FORMS`, `PenalizedTrainer`, `PenalizedLossMixin`, `PackingCollator`
- reading exports: `WeightedTokens`
- errors: `InputError`

`__init__.pyi` says where each of them lives.
"""

import lazy_loader

from ifcurate.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
