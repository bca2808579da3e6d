# SPDX-License-Identifier: MIT
"""Fixtures: a world of namespaces for each test, taken down whatever happens.

A failed test leaves the logs of its world in out/net/<test>.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from typing import Callable, Iterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import world as w  # noqa: E402

TAG = os.environ.get("SOJOURN_TAG", "net")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root: it makes network namespaces"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True


FAILED = pytest.StashKey[bool]()


def keep_logs(world: w.World, name: str) -> None:
    target = w.ROOT / "out/net" / name.replace("/", "-")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in world.dir.iterdir():
        # Configurations hold keys of tests only, but keys are never copied about.
        if path.is_file() and path.suffix != ".conf" and path.stat().st_size < 64 << 20:
            shutil.copy(path, target)
    for node, daemon in world.daemons.items():
        print(f"--- sojournd on {node}\n{daemon.tail(40)}")


@pytest.fixture
def make_world(request: pytest.FixtureRequest) -> Iterator[Callable[..., w.World]]:
    """A function that makes the test's world: one at a time."""
    worlds: list[w.World] = []

    def make(kind: type[w.World] = w.World, **options: bool) -> w.World:
        world = kind(TAG, **options)
        worlds.append(world)
        return world.__enter__()

    yield make
    for world in worlds:
        if request.node.stash.get(FAILED, False):
            keep_logs(world, request.node.name)
        world.close()


@pytest.fixture
def world(make_world: Callable[..., w.World]) -> w.World:
    return make_world()


@pytest.fixture
def away(world: w.World) -> w.World:
    """The terminal is in wifi and registered."""
    world.plug_and_wait("wifi")
    world.start_sojourn()
    world.wait_active("wifi")
    return world
