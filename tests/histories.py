"""Random lives of a small estate, as a list of answers and the pauses between them."""

from datetime import timedelta
from typing import Any

from builders import IDS, TIMES
from canary import api_token
from hypothesis import strategies as st


def _item(id_instance: int) -> st.SearchStrategy[dict[str, Any]]:
    keys = {
        "idInstance": st.just(id_instance),
        "name": st.sampled_from(["a", "b"]),
        "tariff": st.sampled_from(["PARTNER_23", "BUSINESS"]),
        "isPartner": st.sampled_from([True, False, None]),
        "timeCreated": st.sampled_from(TIMES[1:]),
        "timeDeleted": st.sampled_from(TIMES),
        "deleted": st.sampled_from([False, False, False, True]),
        "expirationDate": st.sampled_from(TIMES),
        "isExpired": st.sampled_from([False, False, True]),
        "apiTokenInstance": st.sampled_from([api_token(id_instance), api_token(id_instance, 1), None]),
    }
    return st.fixed_dictionaries(keys)


BAD_ITEMS = st.sampled_from([{"name": "without an id"}, {"idInstance": 1, "deleted": None, "isExpired": False}])


@st.composite
def histories(draw: st.DrawFn, longest: int = 8) -> list[tuple[timedelta, list[dict[str, Any]]]]:
    """Answers in which most instances stay as they were; some come, go, change, or cannot be read."""
    current = {key: draw(_item(key)) for key in IDS if draw(st.booleans())}
    answers = []
    for _ in range(draw(st.integers(1, longest))):
        for key in IDS:
            fate = draw(st.sampled_from(["same"] * 6 + ["change", "change", "toggle"]))
            if fate == "change" and key in current:
                name = draw(st.sampled_from(list(current[key])[1:]))
                current[key] = current[key] | {name: draw(_item(key))[name]}
            elif fate == "toggle":
                if key in current:
                    del current[key]
                else:
                    current[key] = draw(_item(key))
        items: list[dict[str, Any]] = list(current.values()) if draw(st.integers(0, 9)) else []
        if draw(st.integers(0, 9)) == 0:
            bad = draw(BAD_ITEMS)
            items = [bad, *(item for item in items if item["idInstance"] != bad.get("idInstance"))]
        pause = draw(
            st.sampled_from([timedelta(minutes=2), timedelta(minutes=5), timedelta(hours=7), timedelta(days=40)])
        )
        answers.append((pause, items))
    return answers
