"""Runs what can run at once: on a cluster while one is open, otherwise one part after another in this process.

Where a part of a fit ran decides no byte. But what sums over its parts, such as the prediction of an ensemble that is
shared out, depends in its last digit on how many they are. So fits and whole scores are spread, and never the parts of
a part: what runs on a worker finds there what it would find here.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from joblib import Parallel, delayed, parallel_config

from record.parameters import Parameters
from record.problem import Problem, progress

# What makes the backend of the open cluster, of what all calls share and what is called when some are done.
OPEN: ContextVar[Callable[..., Any] | None] = ContextVar("OPEN", default=None)


@contextmanager
def cluster(parameters: Parameters) -> Iterator[None]:
    """Around all that is to run on the cluster that `train.cluster` asks for."""
    if parameters.train.cluster == "none":
        yield
        return
    try:
        from modeling.cluster import opened  # noqa: PLC0415 - Dask takes a second, and most do without
    except ModuleNotFoundError as error:
        install = "python -m pip install -r requirements-cluster.txt"
        raise Problem(f"params.yaml: train.cluster: dask: {error.name} is not installed; {install}") from None
    with opened(parameters) as backend:
        token = OPEN.set(backend)
        try:
            yield
        finally:
            OPEN.reset(token)


@contextmanager
def spread(name: str) -> Iterator[None]:
    """What joblib runs in the block, such as the trees of a forest, runs on the open cluster, if there is one."""
    if backend := OPEN.get():
        from tqdm import tqdm  # noqa: PLC0415 - how many tasks there will be, only joblib knows

        with tqdm(desc=name, unit="task", disable=None) as bar, parallel_config(backend((), bar.update)):
            yield
    else:
        yield


def each(  # noqa: PLR0913, PLR0917 - the last three are what is shown
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    own: Iterable[tuple[Any, ...]],
    what: str,
    unit: str,
    total: int,
) -> list[Any]:
    """What a function returns for each of some arguments, in their order, after those that all calls share.

    The shared ones are sent to each worker once. Of the others, no more are taken than can be worked on.
    """
    calls = (delayed(function)(*shared, *arguments) for arguments in own)
    backend = OPEN.get()
    with parallel_config(backend(shared, int)) if backend else nullcontext():
        return list(progress(Parallel(return_as="generator")(calls), what, unit, total, at_once=True))
