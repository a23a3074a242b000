"""The CustomResourceDefinition. ``manifests/generate.py`` writes it.

definition   the whole of it
schema       pydantic models as structural schemas
validations  the rules between fields
cel          the language that they are written in
"""
