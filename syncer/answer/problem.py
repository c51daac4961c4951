"""What an answer is that is no list of instances, and why nothing is inferred from it (CONTRACT 5). Pure."""

from collections.abc import Sequence

from syncer.answer.values import Scrub, parse_json
from syncer.errors import AnswerUnusable, SyncerError, UpstreamRefused
from syncer.model import Reject

LONGEST_BEGINNING = 4000  # characters of what is no JSON that are looked at for an excerpt
TOLERATED_REJECTS = 3
TOLERATED_REJECT_SHARE = 0.10


def too_many_rejects(rejects: Sequence[Reject], listed: int) -> AnswerUnusable | None:
    """The error where more than 10 % (and more than 3) of the items are bad; `rejects` are in order."""
    rejected = len(rejects)
    if rejected <= TOLERATED_REJECTS or rejected <= TOLERATED_REJECT_SHARE * listed:
        return None
    first = rejects[0]
    return AnswerUnusable(
        f"reading the answer: {rejected} of {listed} items are rejected, the first at position "
        f"{first.position} because {first.reason}; nothing was applied, `syncer probe` shows the answer's shape",
        kind="too_many_rejects",
    )


def not_a_list(body: bytes | None, scrub: Scrub) -> SyncerError:
    """The error for a body that is no list; None stands for one that was too large to be kept.

    An error object with status 200 that names the credentials is a refusal (UPSTREAM, Failure).
    """
    if body is None:
        return AnswerUnusable("reading the answer: it is not whole JSON in UTF-8; nothing is inferred from it")
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        return AnswerUnusable(
            f"reading the answer: byte {error.start} is not UTF-8; a proxy may have garbled it, try again later"
        )
    try:
        document = parse_json(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    else:
        return _no_array(document, scrub)
    begun = text.lstrip()
    if begun[:1] in {"[", "{"}:
        return AnswerUnusable(f"reading the answer: it is not whole JSON ({reason}); nothing is inferred from it")
    if not begun:
        return AnswerUnusable("reading the answer: it is empty; nothing is inferred from it, try again later")
    if len(begun) > LONGEST_BEGINNING:
        begun = begun[:LONGEST_BEGINNING].rsplit(maxsplit=1)[0]  # half a token is not known for one
    excerpt = " ".join(scrub(begun).split())[:80]
    return AnswerUnusable(f"reading the answer: it is no JSON but {excerpt!r}; check SYNCER_API_URL and any proxy")


def _no_array(document: object, scrub: Scrub) -> SyncerError:
    if isinstance(document, dict):
        code = document.get("code", document.get("statusCode"))
        words = scrub(str(document.get("description", document.get("message", ""))))[:200]
        if str(code) in {"401", "403"}:
            return UpstreamRefused(
                f"calling the upstream: it answered code {code} {words!r}; check the partner token and SYNCER_API_URL",
                http_status=200,
            )
        if isinstance(code, int | str) and words:
            return AnswerUnusable(
                f"reading the answer: it is an error object, code {scrub(str(code))[:20]} {words!r}, not a list; "
                "check SYNCER_API_URL"
            )
    kind = {dict: "an object", str: "a string", type(None): "null", bool: "a boolean"}.get(type(document), "a number")
    return AnswerUnusable(f"reading the answer: it is {kind}, not a list; nothing is inferred from it")
