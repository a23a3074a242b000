"""What a user may write into ``spec.teacher``."""

from pydantic import Field

from distillery_operator.resource.fields import Metrics, Model, Text


class Teacher(Model):
    """The fine-tuned model that students learn from."""

    model: Text = Field(
        description="A model folder in the workspace, or the name of a model on the Hugging Face"
        " hub."
    )
    revision: Text | None = Field(None, description="Revision of the model on the hub.")
    floor: Metrics = Field(
        default_factory=dict,
        description="The least value of each metric that the teacher must reach on the validation"
        " set. If the teacher misses one, no trial starts.",
    )
