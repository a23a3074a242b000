"""What can go wrong with programs."""


class Missing(Exception):
    """This machine lacks something that cannot be built or installed here."""
