"""The labels, annotations and finalizers by which Distillery finds its objects."""

from typing import Final

from distillery_operator.resource.experiment import GROUP

EXPERIMENT: Final = f"{GROUP}/experiment"
EXPERIMENT_UID: Final = f"{GROUP}/experiment-uid"
STAGE: Final = f"{GROUP}/stage"
TRIAL: Final = f"{GROUP}/trial"
ATTEMPT: Final = f"{GROUP}/attempt"
TOLD: Final = f"{GROUP}/told"
"""Label of a Job whose trial's ending is stored: no longer listed, kept for its log."""
TEMPLATE: Final = f"{GROUP}/template"
"""Annotation of a Job: digest of the pod template that it was rendered from."""
REQUEST: Final = f"{GROUP}/request"
"""Annotation of a Job: digest of the request that its trainer got."""
REMOVES: Final = f"{GROUP}/removes"
"""Annotation of a Job: numbers of the trials whose files it removes."""
GENERATION: Final = f"{GROUP}/generation"
"""Annotation of a Job: generation of the spec that it was started by."""
IMAGE: Final = f"{GROUP}/image"
"""Annotation of a Job: the image that its trainer was to have. Clusters rewrite those of pods."""
HALTED: Final = f"{GROUP}/halted"
"""Annotation of a Job: why its pod was asked to end."""

OWNER: Final = f"{GROUP}/owner"
"""Annotation of an experiment: the operator that a person wants it to belong to."""

ROTATE: Final = f"{GROUP}/rotate-key"
"""Annotation of an experiment: any text; with another one its trials are served by another key."""
DELETION: Final = f"{GROUP}/deletion"
"""Finalizer of an experiment whose study and results are to be deleted with it."""

QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""Label of a Job: the queue of Kueue that it waits in."""
METRICS: Final = f"{GROUP}/metrics"
"""Finalizer of a pod that must not go before its metrics are stored. The Job controller copies the
finalizers of a template to its pods."""
