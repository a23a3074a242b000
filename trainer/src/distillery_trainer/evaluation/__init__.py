"""From logits to the official metrics.

evaluate  a model on prepared questions
answers   from logits to answers
squad     from answers to exact match and F1
"""
