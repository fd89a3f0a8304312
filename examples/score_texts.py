"""Score any text along a direction: no corpus, no run folder.

python examples/score_texts.py MODEL RUN/direction/toxic.safetensors "Some text." "Another one."
"""

import sys

from ifcurate import ScoreSettings, load_scorer


def main(model: str, direction: str, texts: list[str]) -> None:
    scorer = load_scorer(ScoreSettings(model=model, directions=(direction,)))
    encodings = scorer.encode(texts)
    documents, _ = scorer.score(encodings, names=[f"text {number}" for number in range(len(texts))])
    for text, encoding, document in zip(texts, encodings, documents, strict=True):
        # One number a token: positive means that training on it makes the behaviour likelier.
        for start, end, influence in zip(encoding.starts, encoding.ends, document.influence[0], strict=True):
            print(f"{influence:+10.4f}  {text[start:end]!r}")
        print()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
