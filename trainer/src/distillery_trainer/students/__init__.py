"""Models: teachers that are read, students that are built, saved and loaded.

model    a student from a source: layers, heads, weights, files
heads    attention heads, pruned so that the matrices shrink
dropout  dropout that costs little on a CPU
export   the command that copies a student
"""
