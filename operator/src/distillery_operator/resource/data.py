"""What a user may write into ``spec.data``."""

from typing import Annotated

from pydantic import Field, StrictBool

from distillery_contract.request import FaultPolicy
from distillery_operator.resource.fields import Integer, Model, Number, Text


class Data(Model):
    """Questions in SQuAD 2.0's format. Paths are relative to the workspace, lengths in tokens."""

    name: Text | None = Field(
        None,
        description="A data set on the Hugging Face hub with the splits train and validation, such"
        " as squad_v2. Give either name, or train and validation.",
    )
    train: Text | None = Field(
        None,
        description="File with the questions to train on, in SQuAD 2.0's format. JSON, nested as"
        " SQuAD's own files or flat, JSON Lines, or Parquet. Needs validation too.",
    )
    validation: Text | None = Field(
        None,
        description="File with the questions to measure on, in the same formats. Needs train too.",
    )
    test: Text | None = Field(
        None,
        description="File with questions that no decision of the search reads, in the same formats."
        " It is checked and prepared like the others. Once the search is over, the points of the"
        " front, the baselines and the teacher are evaluated on it, each once. Needs train and"
        " validation too.",
    )
    test_share: Annotated[Number, Field(gt=0, le=0.9)] | None = Field(
        None,
        description="Instead of a file with test questions: the least share of the validation"
        " questions that are set apart as such, in whole articles. The search does not see them."
        " Which articles it is follows from their titles alone; questions without titles are parted"
        " by their contexts.",
    )
    interim_share: Annotated[Number, Field(gt=0, le=0.9)] | None = Field(
        None,
        description="The least share of the validation questions, in whole contexts, that an"
        " evaluation before the end of a training is on; all of them unless given. Early stopping"
        " then costs less, and sees less clearly. They are the same for all trials. The last"
        " evaluation, which is a trial's result, is on all validation questions.",
    )
    unanswerable: StrictBool = Field(
        True, description="Whether some questions have no answer, as in SQuAD 2.0."
    )
    max_length: Integer = Field(
        384,
        ge=16,
        le=8192,
        description="Tokens in one window: the question and a part of its context.",
    )
    stride: Integer = Field(
        128, ge=0, le=8192, description="Tokens of the context that two neighbouring windows share."
    )
    max_query_length: Integer = Field(
        64,
        ge=1,
        le=8192,
        description="Tokens of a question that are read. A longer question is cut.",
    )
    max_answer_length: Integer = Field(
        30, ge=1, le=8192, description="Tokens that an answer may have at most."
    )
    n_best: Integer = Field(
        20,
        ge=1,
        le=1000,
        description="How many of the best start tokens and of the best end tokens are combined to"
        " candidate answers.",
    )
    null_threshold: Number = Field(
        0.0,
        description="A question counts as unanswerable if the score of no answer exceeds the score"
        " of the best answer by more than this margin, in logits.",
    )
    faults: FaultPolicy = Field(
        FaultPolicy.REFUSE,
        description="What follows from questions that cannot serve, such as one whose answer does"
        " not stand in its context. Refuse: the data are refused. Drop: these questions are left"
        " out and counted in the condition Prepared, up to maxDroppedPercent.",
    )
    max_dropped_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        1.0,
        description="With faults: Drop, the greatest share of the questions of a file that is left"
        " out, in percent. If more would be, the data are refused.",
    )
    max_unknown_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        2.0,
        description="The greatest share of tokens that the tokenizer does not know, in percent. If"
        " there are more, the tokenizer does not fit the text, and the data are refused.",
    )
    max_long_answer_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        5.0,
        description="The greatest share of questions whose answers are all longer than"
        " maxAnswerLength, in percent. No student can answer these.",
    )
    max_shared_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        1.0,
        description="The greatest share of the questions of validation, or of test, that are also"
        " in train with the same context, in percent.",
    )

    @property
    def has_test(self) -> bool:
        """Whether there are test questions."""
        return self.test is not None or self.test_share is not None
