"""Change helpers in small ways, one at a time, and report which changes no test notices.

`make mutants` calls this.

Each mutant is tested in a copy of the project, in a process forked from one that has imported
TensorFlow already, so it
takes no longer than its tests do. The seed selects the mutants, and each module gets as many.
"""

import argparse
import ast
import contextlib
import functools
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time

import pytest
from mutants import find_mutants, write_mutant
from mutation_plugins import FirstFailure, LikeliestFirst, NoteReach

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPIED = (
    "helpers",
    "tests",
    "tools",
    "book",
    "pyproject.toml",
    "requirements.txt",
    "constraints.txt",
)
# Mutants that change no behaviour, each with the reason.
EQUIVALENT = pathlib.Path(__file__).with_name("equivalent_mutants.json")
MODULES = ["counting", "recipes", "models", "evaluation", "layers", "ucf101", "batches", "video"]
# The tests of a module, in addition to those in the file named after it.
TESTS = {
    "batches": ["pipeline"],
    "layers": ["models"],
    "models": ["counting", "recipes"],
    "recipes": ["recorded_results"],
    "ucf101": ["archive"],
    "video": ["batches", "faults_decoding"],
}
# Bytes that a run may take; one mutant may try to allocate all memory.
MEMORY = 4 << 30


def run_tests(module, folder, seconds, plugins):
    """Run a module's tests in a copy of the project, and exit with status 0 if all pass."""
    code = 99
    try:
        os.setsid()
        signal.setitimer(signal.ITIMER_REAL, seconds)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)
        files = (pathlib.Path(f"tests/test_{name}.py") for name in (module, *TESTS.get(module, ())))
        choice = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            *(str(file) for file in files if file.exists()),
        ]
        code = int(pytest.main(choice, plugins=[FirstFailure(folder / "killed_by.txt"), *plugins]))
    finally:
        os._exit(code)


def start(module, folder, seconds, *plugins):
    """Run a module's tests in a separate process; return its process id."""
    pid = os.fork()
    if pid == 0:
        run_tests(module, folder, seconds, plugins)
    return pid


def copy_project(folder):
    """Fill a temporary folder with a copy of the project; return its path."""
    folder = pathlib.Path(folder)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def finish(pid, status, folder):
    """Return what killed a mutant after its tests have ended, or None if it survived."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # processes that its tests have started
    killed_by = folder / "killed_by.txt"
    if killed_by.exists():
        return killed_by.read_text()
    if os.WIFSIGNALED(status):
        return "time" if os.WTERMSIG(status) == signal.SIGALRM else f"signal {os.WTERMSIG(status)}"
    return None if os.WEXITSTATUS(status) == 0 else f"pytest's code {os.WEXITSTATUS(status)}"


@functools.cache
def measure(module):
    """Run a module's tests, which must pass; return their duration and their lines."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, begin = copy_project(temporary), time.monotonic()
        noting = NoteReach(folder / "helpers" / f"{module}.py", folder / "reach.json")
        killer = finish(*os.waitpid(start(module, folder, 1800, noting), 0), folder)
        if killer:
            sys.exit(
                f"The tests of {module} fail without a change: {killer}.\n"
                f"{(folder / 'output.txt').read_text()[-3000:]}"
            )
        return time.monotonic() - begin, json.loads((folder / "reach.json").read_text())


def try_all(chosen, jobs):
    """Yield `(mutant, what killed it)`, in order of completion."""
    waiting, running = list(reversed(chosen)), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant, temporary = (
                waiting.pop(),
                tempfile.TemporaryDirectory(ignore_cleanup_errors=True),
            )
            folder, (seconds, reach) = copy_project(temporary.name), measure(mutant.module)
            write_mutant(mutant, folder / "helpers" / f"{mutant.module}.py")
            pid = start(
                mutant.module, folder, 20 + 3 * seconds, LikeliestFirst(mutant.function, reach)
            )
            running[pid] = mutant, temporary
        pid, status = os.wait()
        mutant, temporary = running.pop(pid)
        with temporary as folder:
            yield mutant, finish(pid, status, pathlib.Path(folder))


def name(mutant):
    """Return the name of a mutant in the list of equivalent ones."""
    change = f"{mutant.function}: {mutant.before} -> {mutant.after}"
    return f"helpers/{mutant.module}.py {change}"


def describe(mutant, killer, reasons):
    file, change = name(mutant).split(" ", 1)
    reason = reasons.get(name(mutant))
    fate = (
        f"killed by {killer}" if killer else f"EQUIVALENT, for {reason}" if reason else "SURVIVED"
    )
    return f"{file}:{mutant.line} {change}  {fate}"


def parse(module):
    return ast.parse((ROOT / "helpers" / f"{module}.py").read_text())


def choose(modules, count, seed):
    """Return the mutants to try: for each module `count` at random, in the order of its lines."""
    chosen = []
    for module in modules:
        every = [mutant for mutant, _, _ in find_mutants(module, parse(module))]
        chosen += sorted(
            random.Random(f"{seed} {module}").sample(every, min(count, len(every))),
            key=lambda mutant: mutant.number,
        )
        print(f"{module}: {len(every)} mutants are possible", flush=True)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--count", type=int, default=15, help="mutants of each module (15)")
    parser.add_argument("--seed", type=int, default=0, help="which mutants (0)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants that are tested at once (1)")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=ROOT / "_build" / "mutants.txt",
        help="where the table goes",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="try only those that survive according to the table, and print them",
    )
    args = parser.parse_args()
    reasons = json.loads(EQUIVALENT.read_text())
    chosen = choose(args.modules, args.count, args.seed)
    if args.again:
        survived = {
            line.removesuffix("  SURVIVED")
            for line in args.out.read_text().splitlines()
            if line.endswith("  SURVIVED")
        }
        chosen = [
            mutant
            for mutant in chosen
            if describe(mutant, "", {}).removesuffix("  SURVIVED") in survived
        ]
    lines = []
    for mutant, killer in try_all(chosen, args.jobs):
        lines.append(describe(mutant, killer, reasons))
        print(lines[-1], flush=True)
    survivors = [line for line in lines if line.endswith("  SURVIVED")]
    lines.append(
        f"{len(chosen)} mutants (seed {args.seed}): {len(survivors)} survived, "
        f"{sum('  EQUIVALENT, ' in line for line in lines)} are equivalent."
    )
    print(lines[-1])
    if not args.again:
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n")
    sys.exit(len(survivors) > 5)


if __name__ == "__main__":
    # Imported once, and inherited by all; not helpers, because each run has a copy.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.dont_write_bytecode = True

    main()
