"""Models: teachers that are read, students that are built, saved and loaded.

building      the student of a trial: shape, first weights, heads, dropout
sources       the models that students start from, read from a folder or the hub
model_folder  a trained student on disk, for plain transformers, too
families      BERT and DistilBERT, and what each calls its parts
heads         attention heads, pruned so that the matrices shrink
dropout       dropout that costs little on a CPU
answer_head   an answer head that computes in fp32
export        the command that copies a student
"""
