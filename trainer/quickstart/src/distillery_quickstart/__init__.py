"""A small, real distillation task that needs no network: questions on facts, and a teacher.

* :mod:`facts`: countries, cities and chemical elements, from data that packages ship;
* :mod:`wordings`: how facts are told and asked;
* :mod:`questions`: paragraphs and questions in SQuAD 2.0's format;
* :mod:`source`: the pretrained weights that the teacher starts from;
* :mod:`build`: everything together, with the fine-tuned teacher kept in a cache.

``python -m distillery_quickstart FOLDER`` writes it.
"""
