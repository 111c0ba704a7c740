"""Checkpoints of frameworks for text."""

from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case

PINS = "torch==2.13.0 flair==0.15.1 numpy==2.4.6 ml_dtypes zstandard safetensors rich"


def _sentences() -> list[Any]:
    from flair.data import Sentence

    texts = ("the cat sat", "a dog ran", "the dog sat", "a cat ran")
    return [Sentence(text).add_label("animal", "cat" if "cat" in text else "dog") for text in texts]


def write_flair(folder: Path) -> Path:
    """A text classifier over words that it learns itself, after an epoch; the file has its vocabulary as objects."""
    from flair.data import Corpus
    from flair.embeddings import DocumentRNNEmbeddings, OneHotEmbeddings
    from flair.models import TextClassifier
    from flair.trainers import ModelTrainer

    torch.manual_seed(0)
    corpus = Corpus(train=_sentences(), dev=_sentences(), test=_sentences())
    words = OneHotEmbeddings.from_corpus(corpus, min_freq=1, embedding_length=16)
    embeddings = DocumentRNNEmbeddings([words], hidden_size=16)
    net = TextClassifier(embeddings, label_type="animal", label_dictionary=corpus.make_label_dictionary("animal"))
    ModelTrainer(net, corpus).train(folder / "out", max_epochs=1, learning_rate=0.1, save_final_model=True)
    return folder / "out" / "final-model.pt"


def outputs_flair(path: Path) -> torch.Tensor:
    from flair.models import TextClassifier

    net, sentences = TextClassifier.load(path).float().eval(), _sentences()
    net.predict(sentences, return_probabilities_for_all_classes=True)
    return torch.tensor([[label.score for label in sentence.get_labels("animal")] for sentence in sentences])


CASES = (Case("flair", "flair", write_flair, outputs_flair),)
