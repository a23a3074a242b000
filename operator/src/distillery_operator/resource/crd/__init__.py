"""The CustomResourceDefinition, and its rules as they are checked here.

definition   the whole document, which ``manifests/generate.py`` writes
schema       pydantic models as structural schemas, the form that a definition asks for
cel_rules    the rules between fields that stand in the definition
cel          writes such rules in CEL
checking     what the rules of the definition say of a document
programs     runs CEL as the API server does

``parsing`` asks ``checking``. Nothing here is about admission webhooks: the API server needs none.
"""
