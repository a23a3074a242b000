"""What a user may write into ``spec.student``."""

from pydantic import Field

from distillery_operator.resource.fields import Model, Text


class Student(Model):
    """Where students come from that are not cut from the teacher."""

    model: Text | None = Field(
        None,
        description="A pretrained model for initialization: Pretrained. A model folder in the"
        " workspace, or the name of a model on the Hugging Face hub.",
    )
    revision: Text | None = Field(None, description="Revision of the model on the hub.")
