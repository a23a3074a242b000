"""A small, real distillation task that needs no network: questions on facts, and a teacher.

* :mod:`facts`: countries, cities and chemical elements, from data that packages ship;
* :mod:`wordings`: how facts are told and asked;
* :mod:`paragraphs`: texts that tell facts;
* :mod:`questions`: questions on these texts, half of them without an answer;
* :mod:`data_set`: all of it in SQuAD 2.0's format;
* :mod:`source`: the pretrained weights that the teacher starts from;
* :mod:`build`: data and fine-tuned teacher in a folder, the teacher kept in a cache.

``python -m distillery_quickstart FOLDER`` writes them.
"""
