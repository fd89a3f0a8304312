from .steps.read_shards import ReadShards as ReadShards
from .steps.run_stage import RunStage as RunStage
from .steps.score_tokens import ScoreTokens as ScoreTokens
from .steps.select_tokens import SelectTokens as SelectTokens
from .steps.write_annotations import WriteAnnotations as WriteAnnotations
from .steps.write_scores import WriteScores as WriteScores
