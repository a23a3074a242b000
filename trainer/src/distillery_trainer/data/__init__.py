"""Questions as windows of tokens, and what was prepared of them.

questions  questions and answers, as SQuAD 2.0 has them
dataset    a data set, read from files or the hub
files      the formats of files
test_share test questions as a share of the validation questions
interim    the validation questions of evaluations before the end of a training
faults     why data or models cannot serve, in sentences
checks     what makes questions, tokenizers or a teacher unfit
findings   what a person should know of data that can serve
windows    questions cut into windows of tokens
batches    windows put together into the tensors that a model takes
prepared   what the stage ``prepare`` left for the trials
"""
