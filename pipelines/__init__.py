"""The recipe of every command, one file each, and the datatrove steps that some of them are made of.

The steps, for anybody's pipeline: `ReadShards`, `ScoreTokens`, `WriteScores`, `SelectTokens`,
`WriteAnnotations` and, for a stage of a run, `RunStage`; `__init__.pyi` says where each of them lives.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
