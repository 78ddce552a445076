"""Runs scenarios against targets, alternating."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .instances import Group, Instance
from .measure import Meter, Sample, Series
from .native import Tools
from .processes import BenchError, Cores, NotServed
from .results import Result
from .scenarios import Scenario, Setting
from .targets import Target


@dataclass(frozen=True)
class Effort:
    """How many rounds, and how long each target is loaded in each."""

    rounds: int
    seconds: float


class Runner:
    """Measures what it is given with one set of tools, on one split of the cores."""

    def __init__(self, tools: Tools, cores: Cores, effort: Effort, directory: Path) -> None:
        self._tools = tools
        self._cores = cores
        self._effort = effort
        self._directory = directory

    def run(self, scenarios: Sequence[Scenario], targets: Sequence[Target]) -> Iterable[Result]:
        """The results, scenario by scenario; scenarios of one setting share its processes."""
        for setting in dict.fromkeys(scenario.setting for scenario in scenarios):
            chosen = [scenario for scenario in scenarios if scenario.setting == setting]
            yield from self._run_setting(setting, chosen, targets)

    def _run_setting(
        self, setting: Setting, scenarios: Sequence[Scenario], targets: Sequence[Target]
    ) -> Iterable[Result]:
        directory = self._directory / f"setting-{setting.models}-{setting.tls}-{setting.fresh}-{setting.loads}"
        directory.mkdir()
        wanted = [target for target in targets if any(_takes_part(target, scenario) for scenario in scenarios)]
        with Group(setting, self._tools, self._cores, directory).running(wanted) as (upstream, instances):
            for scenario in scenarios:
                meter = Meter(scenario, self._tools, upstream, directory)
                yield self._measure(scenario, meter, [i for i in instances if _takes_part(i.target, scenario)])

    def _measure(self, scenario: Scenario, meter: Meter, instances: list[Instance]) -> Result:
        result = Result(scenario, {instance.target.name: Series() for instance in instances})
        ready = [instance for instance in instances if self._warm_up(meter, instance, result)]
        # memory is what the first load adds: a second round would find it in the freed lists of the first
        rounds = 1 if scenario.setting.fresh else self._effort.rounds
        for number in range(rounds):
            for instance in _turned(ready, number):
                result.series[instance.target.name].samples.append(self._sample(meter, instance))
        return result

    def _warm_up(self, meter: Meter, instance: Instance, result: Result) -> bool:
        """Whether the target can do it. Only a peer may fail at what it claims to do."""
        try:
            meter.warm_up(instance)
        except BenchError as error:
            if not (instance.target.peer or isinstance(error, NotServed)):
                raise instance.failure(str(error)) from error
            result.series[instance.target.name].refused = str(error)
            return False
        return True

    def _sample(self, meter: Meter, instance: Instance) -> Sample:
        try:
            return meter.sample(instance, self._effort.seconds)
        except BenchError as error:
            raise instance.failure(str(error)) from error


def _takes_part(target: Target, scenario: Scenario) -> bool:
    if scenario.setting.tls and target.launch is None:
        return False  # the load client speaks no TLS
    return not scenario.targets or target.kind in scenario.targets


def _turned(instances: list[Instance], number: int) -> list[Instance]:
    """Another target begins in each round, so that no one always follows the same neighbour's load."""
    start = number % len(instances) if instances else 0
    turned = instances[start:] + instances[:start]
    return turned[::-1] if number % 2 else turned
