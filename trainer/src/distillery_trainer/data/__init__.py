"""Questions as windows of tokens, and what was prepared of them.

loading    SQuAD 2.0's format, read from files or the hub
checks     what makes questions, tokenizers or a teacher unfit
features   questions as sliding windows of tokens
batches    windows as the tensors that a model takes
prepared   what the stage ``prepare`` left for the trials
"""
