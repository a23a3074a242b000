"""From logits to the official metrics.

evaluate  a model on prepared questions
squad     answers, exact match and F1
"""
