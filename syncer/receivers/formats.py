"""A message: news in the format of a receiver, ready to be sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from syncer.receivers import chat, standard
from syncer.receivers.news import News
from syncer.receivers.receiver import Address, Format, Receiver
from syncer.words.catalogue import Words
from syncer.words.receivers import RECEIVERS
from syncer.words.report import REPORT


class Message(NamedTuple):
    """What is posted; the same news have the same id and make the same body, however often they are told."""

    id: str
    headers: Mapping[str, str]
    body: bytes


def message_of(receiver: Receiver, address: Address, news: News, epoch: str, sent_at: datetime) -> Message:
    """Put news into a receiver's format, to be sent at that moment."""
    message_id = news.id_within(epoch)
    words = Words(receiver.language, RECEIVERS, REPORT)
    match receiver.format:
        case Format.STANDARD:
            content = standard.body(news)
        case Format.SLACK:
            content = chat.slack(chat.text(news, words))
        case Format.TELEGRAM:
            content = chat.telegram(chat.text(news, words), address.parameters)
        case _:
            assert_never(receiver.format)
    headers = {"content-type": "application/json"}
    if receiver.format is Format.STANDARD:
        headers |= standard.headers(message_id, sent_at, content, address.keys)
    return Message(message_id, headers, content)
