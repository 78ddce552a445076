"""``python -m bench``: what the gateway costs beside other ways to do the same, in one run on this machine."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .against import at_commit
from .figures import FILE, figures_of
from .native import Tools, build
from .picture import svg
from .processes import BenchError, Cores, split_cores
from .report import table
from .results import Result, Run
from .runner import Effort, Runner
from .scenarios import GUARD, QUICK, SCENARIOS, Scenario
from .targets import GUARDED, REFERENCE, TARGETS, Target

FULL_EFFORT = Effort(rounds=5, seconds=0.6)
QUICK_EFFORT = Effort(rounds=3, seconds=0.25)
GUARD_EFFORT = Effort(rounds=8, seconds=0.4)
GUARD_LIMIT = 2.5  # of the best round: what else runs on a machine makes nearly all of them worse
GUARD_TRIES = 3  # each with as many rounds: where a machine is busy the best one has not come yet
AGAINST_ROUNDS = 12
FILES_NEEDED = 4096
HERE = Path(__file__).parent
FULL = HERE / "results" / "bench.json"
"""Where a full run puts its JSON."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="the main scenarios only, under a minute")
    extent.add_argument("--guard", action="store_true", help=f"fail beyond {GUARD_LIMIT} times the bare pass-through")
    parser.add_argument(
        "--against", metavar="COMMIT", help=f"{GUARDED} at another commit too, in {AGAINST_ROUNDS} rounds"
    )
    parser.add_argument("--peers", action="store_true", help="measure other proxies too, where they are installed")
    parser.add_argument("--scenario", action="append", choices=[s.name for s in SCENARIOS], help="only these")
    parser.add_argument("--target", action="append", choices=[t.name for t in TARGETS], help="only these")
    parser.add_argument("--rounds", type=int, help="how often each target is measured in each scenario")
    parser.add_argument("--seconds", type=float, help="how long each measurement loads its target")
    parser.add_argument("--out", type=Path, help="folder for bench.json and bench.svg")
    return parser.parse_args()


def chosen_scenarios(asked: argparse.Namespace) -> list[Scenario]:
    names = asked.scenario or (GUARD if asked.guard else QUICK if asked.quick else [s.name for s in SCENARIOS])
    return [scenario for scenario in SCENARIOS if scenario.name in names]


def chosen_targets(asked: argparse.Namespace) -> tuple[list[Target], list[str]]:
    """The targets that can run here, and a note for each that was wanted and cannot."""
    names = asked.target or (
        [REFERENCE, GUARDED] if asked.guard or asked.against else [t.name for t in TARGETS if asked.peers or not t.peer]
    )
    wanted = [target for target in TARGETS if target.name in names]
    notes = [f"{target.title} left out: {target.missing()}" for target in wanted if target.missing()]
    return [target for target in wanted if not target.missing()], notes


def chosen_effort(asked: argparse.Namespace) -> Effort:
    preset = GUARD_EFFORT if asked.guard else QUICK_EFFORT if asked.quick else FULL_EFFORT
    if asked.against:
        preset = replace(preset, rounds=AGAINST_ROUNDS)
    return Effort(asked.rounds or preset.rounds, asked.seconds or preset.seconds)


def circumstances(tools: Tools, cores: Cores) -> list[str]:
    notes = []
    if not tools.native:
        notes.append("no C compiler: the Python upstream and load client are the bottleneck; read CPU ratios only")
    if not cores.apart:
        notes.append("one core: target, upstream and load client share it; read CPU ratios only")
    return notes


def allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_NEEDED:
        raise BenchError(f"1,000 streams need {FILES_NEEDED} open files; the limit here is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def execute(asked: argparse.Namespace, directory: Path, earlier: list[Target]) -> Run:
    tools, cores = build(directory), split_cores()
    targets, notes = chosen_targets(asked)
    targets += earlier
    os.sched_setaffinity(0, cores.load)
    effort = chosen_effort(asked)
    titles = {target.name: target.title for target in targets}
    run = Run([], effort.rounds, notes + circumstances(tools, cores), titles)
    for result in Runner(tools, cores, effort, directory).run(chosen_scenarios(asked), targets):
        print(f"{time.strftime('%H:%M:%S')}  {result.scenario.title}", file=sys.stderr, flush=True)
        run.results.append(result)
    return run


def outputs(asked: argparse.Namespace) -> tuple[Path, Path] | None:
    """Where JSON and picture go; only a full run has a place by default, for only its picture tells the whole story."""
    if asked.out is not None:
        return asked.out / "bench.json", asked.out / "bench.svg"
    if asked.quick or asked.guard or asked.against or asked.scenario or asked.target:
        return None
    return FULL, HERE / "bench.svg"


def write(run: Run, figures: Path, picture: Path) -> None:
    figures.parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps(run.as_json(), indent=1) + "\n")
    picture.write_text(svg(run))
    print(f"\nWritten: {figures} and {picture}")
    if figures == FULL:
        FILE.write_text(json.dumps(figures_of(run.as_json()), indent=1) + "\n")
        print(f"Written: {FILE}; `python -m bench.figures` puts its table into the README")


def gross_regressions(results: Sequence[Result]) -> dict[str, str]:
    """By scenario, what costs more than ``GUARD_LIMIT`` times the bare pass-through that ran beside it."""
    faults = {}
    for result in results:
        ratio = result.ratio(GUARDED)
        if ratio is None or ratio.low > GUARD_LIMIT:
            shown = "unknown" if ratio is None else f"at best {ratio.low:.2f}"
            title = result.scenario.title
            faults[result.scenario.name] = f"{title}: {shown} times the bare pass-through, over {GUARD_LIMIT}"
    return faults


def look_again(asked: argparse.Namespace, run: Run, directory: Path) -> None:
    """Measures once more what seems to cost too much; all rounds count."""
    for number in range(1, GUARD_TRIES):
        asked.scenario = list(gross_regressions(run.results))
        if not asked.scenario:
            return
        folder = directory / f"again-{number}"
        folder.mkdir()
        again = execute(asked, folder, [])
        run.rounds += again.rounds
        for result in run.results:
            for more in again.results:
                if more.scenario == result.scenario:
                    for name, series in more.series.items():
                        result.series[name].samples += series.samples


def main() -> int:
    asked = arguments()
    try:
        allow_open_files()
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, at_commit(asked.against) as earlier:
            run = execute(asked, Path(directory), earlier)
            if asked.guard:
                look_again(asked, run, Path(directory))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(table(run))
    files = outputs(asked)
    if files is not None:
        write(run, *files)
    faults = gross_regressions(run.results) if asked.guard else {}
    for fault in faults.values():
        print(f"bench: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
