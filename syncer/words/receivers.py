"""What receivers are told in a chat."""

from syncer.words.catalogue import Catalogue, Text

RECEIVERS: Catalogue = {
    "who": Text("“{name}” ({about})", "«{name}» ({about})"),
    "who_unnamed": Text("an instance without a name ({about})", "инстанс без названия ({about})"),
    "of_account": Text("account {account}", "аккаунт {account}"),
    "seen_at": Text("seen {when}", "замечено {when}"),
    "since_when": Text("since {when}", "с {when}"),
    "until_when": Text("until {when}", "до {when}"),
    "happened_created": Text("Created: {who}", "Создан: {who}"),
    "happened_reappeared": Text("Listed again: {who}", "Снова в списке: {who}"),
    "happened_restored": Text("Restored: {who}", "Восстановлен: {who}"),
    "happened_renewed": Text("Paid for again: {who}", "Снова оплачен: {who}"),
    "happened_extended": Text("Extended: {who}", "Продлён: {who}"),
    "happened_changed": Text("Changed: {who}", "Изменён: {who}"),
    "happened_token_rotated": Text("Its token was changed: {who}", "Сменился токен: {who}"),
    "happened_expired": Text("Expired: {who}", "Истёк срок: {who}"),
    "happened_deleted": Text("Deleted: {who}", "Удалён: {who}"),
    "happened_vanished": Text(
        "Vanished, though nobody said that it was deleted: {who}", "Пропал из списка, хотя удалён не был: {who}"
    ),
    "happened_purged": Text("Dropped from the list after its deletion: {who}", "Убран из списка после удаления: {who}"),
    "noticed": Text("Needs attention: {what}", "Требует внимания: {what}"),
    "noticed_over": Text("No longer needs attention: {what}", "Больше не требует внимания: {what}"),
    "notice_expired_not_deleted": Text(
        "expired, not deleted, still charged", "просрочен, не удалён и всё ещё оплачивается"
    ),
    "notice_not_renewed": Text("did not renew at the last 00:00 UTC+3", "не продлился в последние 00:00 UTC+3"),
    "notice_expiring_soon": Text("expires within 7 days", "срок кончается в ближайшие 7 дней"),
    "notice_vanished": Text("vanished without a deletion", "пропал из списка, хотя удалён не был"),
    "notice_lived_under_a_day": Text("lived under a day, charged all the same", "прожил меньше суток, но оплачен"),
    "notice_claimed_twice": Text("listed by two accounts", "есть в списках двух аккаунтов"),
    "digest": Text("Summary, {when}", "Сводка, {when}"),
    "digest_line": Text("{what}: {n}", "{what}: {n}"),
    "digest_nothing": Text("Nothing happened.", "Ничего не произошло."),
    "digest_attention": Text("Needs attention now", "Требует внимания сейчас"),
    "counted_created": Text("Created", "Создано"),
    "counted_reappeared": Text("Listed again", "Снова в списке"),
    "counted_restored": Text("Restored", "Восстановлено"),
    "counted_renewed": Text("Paid for again", "Снова оплачено"),
    "counted_extended": Text("Extended", "Продлено"),
    "counted_changed": Text("Changed", "Изменено"),
    "counted_token_rotated": Text("Tokens changed", "Сменилось токенов"),
    "counted_expired": Text("Expired", "Истёк срок"),
    "counted_deleted": Text("Deleted", "Удалено"),
    "counted_vanished": Text("Vanished", "Пропало"),
    "counted_purged": Text("Dropped after their deletion", "Убрано из списка после удаления"),
    "trial": Text(
        "This is a test by syncer: nothing happened. Events will come here.",
        "Это проверка от syncer: ничего не случилось. События будут приходить сюда.",
    ),
}
