"""The drawing in the docs is the table's."""

from infra.diagram import BEGIN, END, PAGE, drawing, guards, moves, redrawn
from shared.status import GUARDS, MOVES, Event


def test_the_page_shows_the_table_as_it_is() -> None:
    page = PAGE.read_text()
    assert redrawn(page) == page, "run python -m infra.diagram"


def test_the_words_around_the_drawing_stay() -> None:
    page = redrawn(f"before\n{BEGIN}\nyesterday\n{END}\nafter\n")
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"\n{END}\nafter\n")
    assert "yesterday" not in page
    assert redrawn(page) == page


def test_every_move_and_every_guard_is_in_it() -> None:
    drawn = "\n".join(drawing())
    assert [event for event in Event if event not in drawn] == []
    pairs = {f"{rule.source or '[*]'} --> {rule.target}:" for rule in MOVES}
    assert [pair for pair in pairs if pair not in drawn] == []
    assert len(list(moves())) - 2 == len({(rule.event, rule.guards) for rule in MOVES})
    assert len(list(guards())) - 2 == len(GUARDS)
