"""Processes that compute together, played by threads of one process."""

from __future__ import annotations

import threading

import torch

from maquette.engine.team.distributed import END, Lost, Team


class Threads(Team):
    """A team of which each thread is one process."""

    def __init__(self, rank, world, shelf):
        super().__init__(rank, world)
        self._shelf = shelf

    def send_up(self, values):
        values.copy_(self._exchange(values, lambda given: torch.stack(given).sum(0)))

    def end(self):
        if self.rank == 0:
            with self.telling(END):
                pass

    def _all_have(self, values, source=0):
        values.copy_(self._exchange(values, lambda given: given[source]))
        return values

    def _exchange(self, values, joined):
        given, barrier = self._shelf
        given[self.rank] = values.detach().clone()
        barrier.wait(60)
        found = joined([given[rank] for rank in range(self.world)])
        barrier.wait(60)
        return found


def play(world, work):
    """What `work(group)` returns in each of so many processes."""
    shelf = {}, threading.Barrier(world)
    results, errors = [None] * world, []

    def one(rank):
        torch.set_num_threads(1)
        team = Threads(rank, world, shelf)
        try:
            results[rank] = work(team)
        except BaseException as error:
            errors.append(error)
            shelf[1].abort()
        finally:
            team.leave()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((e for e in errors if not isinstance(e, (threading.BrokenBarrierError, Lost))), errors[0])
    return results
