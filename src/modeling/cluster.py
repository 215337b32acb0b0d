"""A Dask cluster that fits the same bytes as this process would.

The scheduler is the one that DASK_SCHEDULER_ADDRESS names; without it, workers start on this machine and end with the
run. A worker must have what decides bytes: these versions, these numeric settings, this source. Each is asked at the
start, and again before its first task, since it may have joined later.
"""

import asyncio
import hashlib
import logging
import os
import pickle
import platform
import shlex
import threading
import time
import warnings
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata, util
from pathlib import Path
from typing import Any, Self

import cloudpickle
import dask
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.comm.core import CommClosedError
from joblib import _dask
from threadpoolctl import threadpool_limits

from record.environment import all_installed, installed_versions, numeric_variables
from record.parameters import Parameters, modules_of_classes
from record.problem import Problem, in_one_line

ADDRESS = "DASK_SCHEDULER_ADDRESS"
SECONDS_TO_CONNECT = 10
SECONDS_WITHOUT_WORKERS = 60  # in which another may join
SOURCES = Path(__file__).parent.parent
# By Dask for a library that nothing here uses, and by scikit-learn when it is imported.
SET_LATER = {"MKL_NUM_THREADS", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}
MOST_NAMED = 4  # differences of a worker


@contextmanager
def opened(parameters: Parameters) -> Iterator[Callable[..., "Backend"]]:
    """A cluster whose workers are as this process is: what makes a backend of joblib that runs something on it.

    Raises:
        Problem: nobody answers, a worker differs, is killed again and again by the same task, or none is left
    """
    here, address = Facts.of(parameters), os.environ.get(ADDRESS)
    large = dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"})  # data are in the graph
    with large, connected(address) if address else started() as client, watched(client):
        check_workers(client, here)
        yield partial(Backend, client, here)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of a scheduler that runs."""
    try:
        client = RemakesData(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        way = "start one with `dask scheduler`, or unset the variable to use this machine alone"
        raise Problem(f"{ADDRESS}: no scheduler answers at '{address}' ({in_one_line(error)}); {way}") from error
    with client:
        yield client


@contextmanager
def started() -> Iterator[Client]:
    """A client of workers on this machine, one for each of its processors, which nobody else can reach."""
    alone = {"host": "127.0.0.1", "dashboard_address": None, "silence_logs": logging.CRITICAL}
    local = LocalCluster(threads_per_worker=1, memory_limit=0, **alone)
    with local, RemakesData(local, set_as_default=False) as client:
        yield client


class RemakesData(Client):  # type: ignore[misc]
    """A client whose data are tasks: what a dead worker held is made again on another, from the scheduler's copy."""

    def scatter(self, data: Any, *, asynchronous: bool = False, **_: Any) -> Any:
        """References to data, or in a coroutine, as joblib asks for it, one reference."""
        return self.scatter_one(data) if asynchronous else [self.submit(same, Packed(v), pure=False) for v in data]

    def __del__(self) -> None:
        """Nothing: it is closed where it was opened, and one of a garbled address would be waited for in vain."""

    async def scatter_one(self, data: Any) -> Future:
        """A reference to data."""
        return self.submit(same, Packed(data), pure=False)


def same(sent: "Packed") -> "Packed":
    """What a worker makes of what was sent."""
    return sent


# ── what decides bytes ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Facts:
    """What decides the bytes of a model in this process, by name, for a fit with some packages and modules."""

    threads: int
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    values: dict[str, str]

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Those for a fit with some parameters."""
        train = parameters.train.model_dump(by_alias=True)
        modules = modules_of_classes(parameters.estimator.model_dump(by_alias=True), train["features"])
        known = metadata.packages_distributions()
        behind = ["distributed", "scikit-learn", "joblib", "pandas", "pyarrow"]
        behind += [name for module in modules for name in known.get(module, [])]
        packages, named = tuple(installed_versions(behind)), tuple(sorted(modules))
        return cls(parameters.train.threads, packages, named, facts(packages, named))

    def differences(self, found: dict[str, str]) -> str:
        """What a worker has otherwise, in one line; empty for nothing."""
        names = [*self.values, *(found.keys() - self.values.keys())]
        named = [
            f"{name} is {found.get(name, 'not set')} instead of {self.values.get(name, 'not set')}"
            for name in names
            if found.get(name) != self.values.get(name)
        ]
        more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
        return ", ".join([*named[:MOST_NAMED], *more])


@cache  # since a worker keeps the code that it has loaded
def facts(packages: tuple[str, ...], modules: tuple[str, ...]) -> dict[str, str]:
    """What decides bytes in this process, by name."""
    installed = all_installed()
    return {
        "Python": platform.python_version(),
        "system": " ".join([platform.system(), platform.machine(), *platform.libc_ver()]).strip(),
        "src/": source(),
        **{f"module {name}": "there" if util.find_spec(name) else "missing" for name in modules},
        **{name: installed.get(name, "missing") for name in packages},
        **settings_of_this_process(),
    }


@cache
def source() -> str:
    """The hash of this repository's code, shortened."""
    files = sorted(SOURCES.rglob("*.py"))
    content = b"".join(f"{file.relative_to(SOURCES).as_posix()}\0".encode() + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:12]


def settings_of_this_process() -> dict[str, str]:
    """The numeric settings that a process was started with."""
    return {name: value for name, value in numeric_variables().items() if name not in SET_LATER}


def check_workers(client: Client, here: Facts) -> None:
    """Wait for a worker, and ask all that there are what decides bytes; the scheduler must be able to read tasks."""
    address = client.scheduler.address
    try:
        client.run_on_scheduler(facts, here.packages, here.modules)
    except ImportError as error:
        way = "start it in this folder, in an environment with the same packages: env PYTHONPATH=src dask scheduler"
        raise Problem(f"the scheduler at {address}: {in_one_line(error)}; {way}") from error
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError:
        raise Problem(f"the scheduler at {address} has no worker", how_to_start(address)) from None
    found = client.run(facts, here.packages, here.modules, on_error="return")
    lines = {
        worker: in_one_line(said) if isinstance(said, Exception) else here.differences(said)
        for worker, said in found.items()
    }
    if wrong := [f"worker {worker}: {line}" for worker, line in sorted(lines.items()) if line]:
        raise Problem(*wrong, how_to_start(address))


def how_to_start(address: str) -> str:
    """The command that starts a worker which makes the same bytes."""
    settings = shlex.join(f"{name}={value}" for name, value in settings_of_this_process().items())
    command = f"env PYTHONPATH=src {settings} dask worker {address} --nthreads 1"
    return f"start workers in this folder of this commit, in an environment with the same packages: {command}"


# ── how joblib's tasks get there ───────────────────────────────────────────────────────────────────────────────────


class Backend(_dask.DaskDistributedBackend):  # type: ignore[misc]
    """Joblib's own, but what is in a task runs as it would here, one after another, and its warnings come back."""

    def __init__(self, client: Client, here: Facts, shared: tuple[Any, ...], done: Callable[[], object]) -> None:
        super().__init__(client=client, scatter=list(shared))
        self.here, self.done = here, done

    def effective_n_jobs(self, n_jobs: int) -> int:
        """How many tasks run at once; never one, which joblib would run in this process."""
        cores: int = super().effective_n_jobs(n_jobs)
        return max(2, cores)

    async def _to_func_args(self, func: Any) -> tuple["Batch", list[Any]]:
        _, tasks = await super()._to_func_args(func)
        batch = Batch(tasks, self.here)
        sent = [(call, [*map(packed, args)], {key: packed(named[key]) for key in named}) for call, args, named in tasks]
        return batch, sent

    async def _collect(self) -> None:
        # Joblib's own does not tell of a batch that failed outside of its calls, and would be waited for forever.
        while self._continue:
            async for future, result in self.waiting_futures:
                del self._results[future]
                self._callbacks.pop(future)(result if future.status == "finished" else failure_of(future, result))
            await asyncio.sleep(0.01)

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch, once its warnings are given again."""
        if isinstance(out, Exception):
            raise out
        results, caught = super().retrieve_result_callback(out).value()
        for warning in caught:
            warnings.warn(warning, stacklevel=1)
        self.done()
        return results


def failure_of(future: Future, result: Any) -> Exception:
    """Why a task has no result: what went wrong around it, or that it was given up."""
    return result[1] if future.status == "error" else CancelledError(future.key)


class Batch(_dask.Batch):  # type: ignore[misc]
    """Some calls that a worker makes, if it would make them as this process does."""

    def __init__(self, tasks: list[Any], here: Facts) -> None:
        super().__init__(tasks)
        self.here = here

    def __call__(self, tasks: list[Any]) -> "Packed":
        """What the calls return, and their warnings."""
        if differences := self.here.differences(facts(self.here.packages, self.here.modules)):
            worker = get_worker()
            raise Problem(f"worker {worker.address}: {differences}", "stop it, and run again")
        with threadpool_limits(self.here.threads), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            unpacked = cache(Packed.value)  # each is made once for the calls of a batch
            results = [
                call(*map(unpacked, arguments), **{name: unpacked(value) for name, value in named.items()})
                for call, arguments, named in tasks
            ]
        return Packed((results, [warning.message for warning in caught]))


class Packed:
    """A value as bytes. Sent by itself, an array could begin at any address, and sums over it end otherwise."""

    def __init__(self, value: Any) -> None:
        self.content = cloudpickle.dumps(value)

    def __sizeof__(self) -> int:
        """What a worker counts as its memory."""
        return len(self.content)

    def value(self) -> Any:
        """The value, whose arrays begin where those of this process would."""
        return pickle.loads(self.content)  # noqa: S301 - what Dask sends is unpickled anyway


def packed(value: Any) -> Any:
    """A value as it is sent; one that was sent before as a reference to it."""
    return value if isinstance(value, Future) else Packed(value)


# ── what can go wrong ──────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def watched(client: Client) -> Iterator[None]:
    """End the block with a sentence when the scheduler is gone, no worker is left, or one task kills them all."""
    address, ended, none_left = client.scheduler.address, threading.Event(), threading.Event()

    def watch() -> None:
        last = time.monotonic()
        while not ended.wait(1):
            if has_workers(client):
                last = time.monotonic()
            elif time.monotonic() - last > SECONDS_WITHOUT_WORKERS and not ended.is_set():
                none_left.set()
                interrupt_main()
                return

    threading.Thread(target=watch, daemon=True).start()
    way = "see to the workers and run again, or set train.cluster: none"
    try:
        yield
    except KeyboardInterrupt:
        if none_left.is_set():
            raise Problem(f"no worker has been left at {address} for {SECONDS_WITHOUT_WORKERS} s; {way}") from None
        raise
    except KilledWorker as error:
        raise Problem(f"{in_one_line(error)} {way}") from error
    except (CancelledError, CommClosedError) as error:
        raise Problem(f"the cluster at {address} lost what it worked on ({in_one_line(error)}); {way}") from error
    finally:
        ended.set()


def has_workers(client: Client) -> bool:
    """Whether the scheduler answers and has workers."""
    try:
        return bool(client.ncores())
    except (OSError, ValueError):
        return False
