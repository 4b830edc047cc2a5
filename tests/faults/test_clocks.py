"""Three clocks at once, each with its own idea of the time, remind everybody exactly once."""

from __future__ import annotations

import pytest

from tests.faults.clocks import count_handled, run_clocks, write_reminders


@pytest.mark.parametrize("without_lock", [False, True])
def test_two_thousand_reminders_are_given_once_by_three_jumping_clocks(
    fresh_url: str, without_lock: bool
) -> None:
    write_reminders(fresh_url, 2000)
    run_clocks(fresh_url, seed=1, seconds=60, without_lock=without_lock)
    counted = count_handled(fresh_url, 2000)
    assert counted.never == 0
    # with the lock taken out somebody must be reminded twice, or this shows nothing
    assert (counted.again == 0) is not without_lock, str(counted)
