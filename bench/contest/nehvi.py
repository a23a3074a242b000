"""Runs BoTorch's qLogNEHVI in an environment of its own: a question a line in, an answer out.

:mod:`contest.peer` starts it. It knows nothing of Distillery. A point is its place in the search
space and, as its last number, its size as a share of the teacher's, which is known and no matter
of a model; the Gaussian process of the other objective does not see it.
"""

import json
import sys
import warnings
from typing import Any, Final

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import ModelList
from botorch.models.transforms.input import FilterFeatures
from botorch.sampling.get_sampler import get_sampler
from gpytorch.mlls import ExactMarginalLogLikelihood

SAMPLES: Final = 32
EVERY: Final = 3
"""From 60 results on the process is fitted anew after so many more."""
ITERATIONS: Final = 60


class Surrogate:
    """The process of the objective that is trained, fitted now and then, conditioned always."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._fitted = 0

    def model(self, points: torch.Tensor, values: torch.Tensor) -> SingleTaskGP:
        """Return it with these results: places (n, d + 1) and values (n, 1)."""
        seen = FilterFeatures(torch.arange(points.shape[1] - 1))
        model = SingleTaskGP(points, values, input_transform=seen)
        model.load_state_dict(self._state, strict=False)
        if not self._state or len(values) - self._fitted >= (1 if len(values) < 60 else EVERY):
            likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
            fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": ITERATIONS}})
            learnt = ("mean_module", "covar_module", "likelihood")
            state = model.state_dict().items()
            self._state = {name: value for name, value in state if name.startswith(learnt)}
            self._fitted = len(values)
        return model


def main() -> None:
    """Answer until the input ends; the first line describes the search."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.double)
    asked = json.loads(sys.stdin.readline())
    torch.manual_seed(asked["seed"])
    corner = torch.tensor([asked["threshold"], -1.0])
    print("null", flush=True)
    surrogate, acquisition = Surrogate(), None
    for line in sys.stdin:
        asked = json.loads(line)
        if "points" in asked:
            acquisition = acquired(surrogate, asked, corner)
        assert acquisition is not None
        with torch.no_grad():
            found = acquisition(torch.tensor(asked["candidates"]).unsqueeze(1))
        print(json.dumps(found.tolist()), flush=True)


def acquired(
    surrogate: Surrogate, asked: dict[str, Any], corner: torch.Tensor
) -> qLogNoisyExpectedHypervolumeImprovement:
    """Return the acquisition of one moment."""
    points = torch.tensor(asked["points"])
    values = torch.tensor(asked["values"]).unsqueeze(-1)
    known = GenericDeterministicModel(lambda x: -x[..., -1:], num_outputs=1)
    model = ModelList(surrogate.model(points, values).eval(), known)
    draws = torch.Size([SAMPLES])
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        corner,
        points,
        sampler=get_sampler(model.posterior(points[:1]), draws, seed=len(values)),
        X_pending=torch.tensor(asked["pending"]) if asked["pending"] else None,
        prune_baseline=True,
        cache_root=False,
    )


if __name__ == "__main__":
    main()
