"""What commands say on a terminal. Codes are in no language: states, transitions, reasons, columns of the database.

Over 300 lines: one text after another, and nothing else.
"""

from syncer.words.catalogue import Catalogue, Text, Words
from syncer.words.language import Language

TERMINAL: Catalogue = {
    # headings of columns
    "col_account": Text("account", "аккаунт"),
    "col_state": Text("state", "состояние"),
    "col_data_as_of": Text("data as of", "данные на"),
    "col_age": Text("age", "возраст"),
    "col_live": Text("live", "живых"),
    "col_expired": Text("expired", "просрочено"),
    "col_deleted": Text("deleted", "удалено"),
    "col_listed": Text("listed", "в списке"),
    "col_claimed": Text("claimed", "спорных"),
    "col_configured": Text("configured", "в настройках"),
    "col_failures": Text("failures", "неудач"),
    "col_warning": Text("warning", "предупреждение"),
    "col_run": Text("run", "запуск"),
    "col_started": Text("started", "начат"),
    "col_status": Text("status", "статус"),
    "col_new": Text("new", "новых"),
    "col_updated": Text("updated", "изменено"),
    "col_transitions": Text("transitions", "переходов"),
    "col_rejected": Text("rejected", "отвергнуто"),
    "col_error": Text("error", "ошибка"),
    "col_id": Text("id", "номер"),
    "col_occurred": Text("occurred", "когда"),
    "col_transition": Text("transition", "переход"),
    "col_instance": Text("instance", "инстанс"),
    "col_instances": Text("instances", "инстансов"),
    "col_name": Text("name", "название"),
    "col_changes": Text("changes", "что изменилось"),
    "col_type": Text("type", "тип"),
    "col_tariff": Text("tariff", "тариф"),
    "col_expires": Text("expires", "срок до"),
    "col_before": Text("before", "было"),
    "col_after": Text("after", "стало"),
    "col_net": Text("net", "разница"),
    "col_instance_days": Text("instance-days", "инстансо-дней"),
    "col_amount": Text("amount", "сумма"),
    "col_their_days": Text("their days", "дней у них"),
    "col_their_amount": Text("their amount", "сумма у них"),
    "col_our_days": Text("our days", "дней у нас"),
    "col_our_amount": Text("our amount", "сумма у нас"),
    "col_period": Text("period", "период"),
    "col_month": Text("month", "месяц"),
    "col_opening": Text("opening", "в начале"),
    "col_created": Text("created", "создано"),
    "col_returned": Text("returned", "вернулось"),
    "col_moved": Text("moved", "переехало"),
    "col_vanished": Text("vanished", "пропало"),
    "col_closing": Text("closing", "в конце"),
    "col_lost": Text("lost", "потеряно"),
    "col_churn": Text("churn", "отток"),
    "col_reason": Text("reason", "причина"),
    "col_customer": Text("customer", "клиент"),
    "col_from": Text("from", "с"),
    "col_to": Text("to", "по"),
    "col_days": Text("days", "дней"),
    "col_price_of_a_day": Text("price of a day", "цена дня"),
    "col_rate": Text("rate", "цена"),
    "col_currency": Text("currency", "валюта"),
    "col_cost": Text("cost", "расход"),
    "col_price": Text("price", "цена"),
    "col_margin": Text("margin", "маржа"),
    "col_variable": Text("variable", "переменная"),
    "col_flag": Text("flag", "параметр"),
    "col_default": Text("default", "по умолчанию"),
    "col_meaning": Text("meaning", "смысл"),
    # words and measures
    "yes": Text("yes", "да"),
    "no": Text("no", "нет"),
    "none": Text("none", "нет"),
    "nothing": Text("nothing", "ничего"),
    "nobody": Text("nobody", "ничей"),
    "retired": Text("retired", "выведен"),
    "seen": Text("(seen)", "(замечено)"),
    "age_s": Text("{n}s", "{n} с"),
    "age_min": Text("{n}m", "{n} мин"),
    "age_h": Text("{n}h", "{n} ч"),
    "age_d": Text("{n}d", "{n} дн."),
    "soon_now": Text("now", "сейчас"),
    "soon_s": Text("in {n} s", "через {n} с"),
    "soon_min": Text("in {n} min", "через {n} мин"),
    "soon_h": Text("in {n} h", "через {n} ч"),
    "soon_d": Text("in {n} d", "через {n} дн."),
    "days": Text(("{n} day", "{n} days"), ("{n} день", "{n} дня", "{n} дней")),
    "more_json": Text(
        ("… and {n} more; --json shows all", "… and {n} more; --json shows all"),
        ("… и ещё {n}; все покажет --json", "… и ещё {n}; все покажет --json", "… и ещё {n}; все покажет --json"),
    ),
    "more": Text(("… and {n} more", "… and {n} more"), ("… и ещё {n}", "… и ещё {n}", "… и ещё {n}")),
    # a run and a plan
    "run_done": Text(
        "{account}: {status}: {listed} listed, {created} new, {updated} updated; {happened}{rejected}",
        "{account}: {status}: в списке {listed}, новых {created}, изменено {updated}; {happened}{rejected}",
    ),
    "no_transitions": Text("no transitions", "переходов нет"),
    "no_transition": Text("no transition", "без перехода"),
    "items_rejected": Text(
        (", {n} items rejected (see rejected_items)", ", {n} items rejected (see rejected_items)"),
        (
            ", {n} запись отвергнута (см. rejected_items)",
            ", {n} записи отвергнуты (см. rejected_items)",
            ", {n} записей отвергнуто (см. rejected_items)",
        ),
    ),
    "plan_done": Text(
        "{account}: {listed} listed, {created} new, {updated} updated, {rejected} not readable; nothing was written",
        "{account}: в списке {listed}, новых {created}, изменилось бы {updated}, не прочитано {rejected}; "
        "ничего не записано",
    ),
    # help
    "settings": Text("Settings", "Настройки"),
    "no_flag": Text("no flag", "без параметра"),
    "settings_order": Text(
        "A flag goes before the environment, that before {file} (in this folder, or --config FILE), the file before "
        "the default. A setting's key in the file is its variable without SYNCER_, in lower case.",
        "Параметр важнее переменной окружения, переменная — файла {file} (в этой папке или --config FILE), файл — "
        "значения по умолчанию. Ключ настройки в файле — её переменная без SYNCER_, строчными буквами.",
    ),
    # status
    "accounts": Text("Accounts", "Аккаунты"),
    "runs": Text("Runs", "Запуски"),
    "under_way": Text("a run of {account} is under way in {process}", "сейчас идёт запуск {account}: {process}"),
    "daemon": Text("daemon {process}, beat {n} s ago, {told}", "демон {process}, отозвался {n} с назад, {told}"),
    "next_run": Text("next run {soon}", "следующий запуск {soon}"),
    "next_runs": Text("next runs: {runs}", "следующие запуски: {runs}"),
    "and_more": Text(" and {n} more", " и ещё {n}"),
    "no_daemon": Text("no daemon is running", "демон не запущен"),
    "no_daemon_of": Text("no daemon runs {accounts}", "ни один демон не ведёт {accounts}"),
    "approved": Text(
        "{account}: run {run} is approved since {moment} ({reasons}); the next answer that is accepted uses it up",
        "{account}: запуск {run} одобрен {moment} ({reasons}); одобрение действует до ближайшего принятого ответа",
    ),
    "standby": Text(
        "the database is a standby, a read replica: it has what its primary committed",
        "база — реплика только для чтения: в ней то, что записала основная",
    ),
    "standby_until": Text(
        "the database is a standby, a read replica: it has what its primary committed until {moment}",
        "база — реплика только для чтения: в ней то, что основная записала до {moment}",
    ),
    "reason_of": Text("{reason} of {n}", "{reason}: {n}"),
    # the past
    "estate_at": Text("The estate at {moment}", "Инстансы на {moment}"),
    "before_first": Text(
        "careful: syncer saw its first answer at {first}; of the time before it knows what that told, "
        "and instances deleted more than three months before are unknown",
        "осторожно: первый ответ syncer получил {first}; о том, что было раньше, он знает только из него, "
        "а инстансы, удалённые больше чем за три месяца до того, неизвестны",
    ),
    "no_time_yet": Text("no time yet", "— ещё не получал"),
    "from_to": Text("From {before} to {after}", "С {before} по {after}"),
    "history": Text("History", "История"),
    "no_match": Text("no transitions match", "таких переходов нет"),
    # find
    "instances": Text("Instances", "Инстансы"),
    "found_none": Text(
        "no instance has that in its name, id or customer",
        "ни в названии, ни в номере, ни в клиенте инстанса такого нет",
    ),
    # approve
    "held_for": Text(
        ("{reason}: {n} instance", "{reason}: {n} instances"),
        ("{reason}: {n} инстанс", "{reason}: {n} инстанса", "{reason}: {n} инстансов"),
    ),
    "not_in_mirror": Text("not in the mirror", "нет в зеркале"),
    "ask_approval": Text(
        "Let the next answer pass if it does this, and nothing more?",
        "Пропустить следующий ответ, если в нём будет это и ничего сверх этого?",
    ),
    "not_approved": Text("run {run} is not approved", "запуск {run} не одобрен"),
    "is_approved": Text(
        "run {run} is approved: the next answer passes if it lacks nothing more and has no other reason to be held",
        "запуск {run} одобрен: следующий ответ пройдёт, если в нём не будет большей потери и другой причины "
        "его задержать",
    ),
    "was_approved": Text(
        "run {run} was approved before: the next answer passes if it lacks nothing more and has no other reason to be "
        "held",
        "запуск {run} уже был одобрен: следующий ответ пройдёт, если в нём не будет большей потери и другой причины "
        "его задержать",
    ),
    # accounts
    "renamed": Text("account {old} is called {new} now", "аккаунт {old} теперь называется {new}"),
    "account_retired": Text(
        "account {account} is retired; an answer of it that is accepted brings it back",
        "аккаунт {account} выведен из работы; вернёт его первый же принятый ответ",
    ),
    "still_configured": Text(
        "careful: it is still among the accounts of these settings; take it out there",
        "осторожно: в настройках этот аккаунт остался; уберите его и оттуда",
    ),
    # money
    "in_all": Text("in all: {sums}", "всего: {sums}"),
    "forecast": Text(
        "forecast to the month's end, if nothing changes: {sums}",
        "прогноз до конца месяца, если ничего не изменится: {sums}",
    ),
    "tonight": Text("tonight at {moment}: {sums}", "ближайшей ночью, в {moment}: {sums}"),
    "days_and_amount": Text(
        ("{n} day, {amount}", "{n} days, {amount}"),
        ("{n} инстансо-день, {amount}", "{n} инстансо-дня, {amount}", "{n} инстансо-дней, {amount}"),
    ),
    "no_amount": Text("no amount", "без суммы"),
    "unpriced": Text(
        (
            "no price for {n} of the days; set it: syncer rates set TARIFF RATE CURRENCY --from DATE",
            "no price for {n} of the days; set it: syncer rates set TARIFF RATE CURRENCY --from DATE",
        ),
        (
            "для {n} дня цены нет; задайте её: syncer rates set ТАРИФ ЦЕНА ВАЛЮТА --from ДЕНЬ",
            "для {n} дней цены нет; задайте её: syncer rates set ТАРИФ ЦЕНА ВАЛЮТА --from ДЕНЬ",
            "для {n} дней цены нет; задайте её: syncer rates set ТАРИФ ЦЕНА ВАЛЮТА --from ДЕНЬ",
        ),
    ),
    "uncertain": Text(
        (
            "careful: {n} of the days is not certain: nobody looked for more than a day before {gone} vanished: {ids}",
            "careful: {n} of the days are not certain: nobody looked for more than a day before {gone} vanished: {ids}",
        ),
        (
            "осторожно: {n} из этих дней под вопросом: больше суток до пропажи опросов не было; пропало {gone}: {ids}",
            "осторожно: {n} из этих дней под вопросом: больше суток до пропажи опросов не было; пропало {gone}: {ids}",
            "осторожно: {n} из этих дней под вопросом: больше суток до пропажи опросов не было; пропало {gone}: {ids}",
        ),
    ),
    "gap": Text(
        "careful: {account} saw nothing from {since} to {until}; deletions of that time may be unknown, "
        "and their days are counted",
        "осторожно: с {since} по {until} у {account} не было ни одного ответа; удаления за это время могли остаться "
        "неизвестны, и их дни посчитаны",
    ),
    "data_is_none": Text(
        "careful: no answer of {account} was accepted yet, so its days are not here",
        "осторожно: от {account} ещё не принято ни одного ответа, так что его дней здесь нет",
    ),
    "data_is": Text(
        "careful: the data of {account} is {state}; later days assume no change",
        "осторожно: состояние данных {account} — {state}; дни после них посчитаны так, будто ничего не менялось",
    ),
    "rate_set": Text(
        "a day of {tariff} costs {price} {currency} from {day} on", "день {tariff} стоит {price} {currency} с {day}"
    ),
    "tariff_unused": Text(
        "careful: no live instance has the tariff {tariff}; {hint}",
        "осторожно: живых инстансов с тарифом {tariff} нет; {hint}",
    ),
    "rate_removed": Text(
        "the price of {tariff} from {day} is removed; on that day it {told} now",
        "цена {tariff} с {day} убрана; теперь в этот день он {told}",
    ),
    "costs": Text("costs {price} {currency} from {day} on", "стоит {price} {currency} (цена с {day})"),
    "has_no_price": Text("has no price", "без цены"),
    "prices": Text("Prices of a day", "Цены дня"),
    "no_prices": Text("no prices are known", "цены не заданы"),
    "no_price_for": Text(
        "no price for {tariff}; set it: syncer rates set {tariff} RATE CURRENCY --from DATE",
        "у {tariff} нет цены; задайте её: syncer rates set {tariff} ЦЕНА ВАЛЮТА --from ДЕНЬ",
    ),
    # the vendor's invoice
    "invoice_agrees": Text("the invoice agrees", "счёт сходится"),
    "invoice_compared_nothing": Text(
        "the invoice does not agree: nothing could be compared; set prices: syncer rates set TARIFF RATE CURRENCY",
        "счёт не сходится: сравнить было нечего; задайте цены: syncer rates set ТАРИФ ЦЕНА ВАЛЮТА",
    ),
    "invoice_currency": Text("their currency is another one: {n}", "счёт в другой валюте: {n}"),
    "invoice_only_invoiced": Text("they bill, and we do not see: {n}", "в счёте есть, у нас нет: {n}"),
    "invoice_only_seen": Text("we see, and they do not bill: {n}", "у нас есть, в счёте нет: {n}"),
    "invoice_days": Text("the days differ: {n}", "не сходятся дни: {n}"),
    "invoice_amount": Text("the days agree, the amounts differ: {n}", "дни сходятся, суммы нет: {n}"),
    "invoice_not_compared": Text(
        "nothing could be compared: no rate for a day of it: {n}", "сравнить нечего, для дня нет цены: {n}"
    ),
    "invoice_sum": Text(
        "sum: theirs {their_days} days, {their_amount}; ours {our_days} days, {our_amount}; "
        "difference {days} days, {amount}",
        "итого: у них дней {their_days}, {their_amount}; у нас дней {our_days}, {our_amount}; "
        "разница: дней {days}, {amount}",
    ),
    # customers
    "customers": Text("Customers", "Клиенты"),
    "no_customers": Text(
        "no customers are known; load them: syncer customers load FILE",
        "клиенты ещё не загружены; загрузить: syncer customers load ФАЙЛ",
    ),
    "not_sold": Text("not sold", "не продаётся"),
    "a_day": Text("{price} {currency} a day", "{price} {currency} в день"),
    "assigned_on": Text(
        "{instance} {customer} from {first} on, {price}", "{instance} {customer} с {first} и дальше, {price}"
    ),
    "assigned_to": Text(
        "{instance} {customer} from {first} to {last}, {price}", "{instance} {customer} с {first} по {last}, {price}"
    ),
    "reassigned": Text("{instance} {customer} from {first}: {changes}", "{instance} {customer} с {first}: {changes}"),
    "list_sum": Text(
        "{added} added, {changed} changed, {removed} removed, {kept} as they were",
        "добавлено {added}, изменено {changed}, убрано {removed}, без изменений {kept}",
    ),
    "nothing_written": Text("; nothing was written", "; ничего не записано"),
    "unread": Text("careful: columns that were not read: {columns}", "осторожно: не прочитаны столбцы: {columns}"),
    "never_listed": Text(
        (
            "careful: {n} of the instances was never listed: {ids}",
            "careful: {n} of the instances were never listed: {ids}",
        ),
        (
            "осторожно: {n} инстанса из файла никогда не было в списке: {ids}",
            "осторожно: {n} инстансов из файла никогда не было в списке: {ids}",
            "осторожно: {n} инстансов из файла никогда не было в списке: {ids}",
        ),
    ),
    # the report
    "report_live": Text(
        "{live} live, of which {expired} expired; {deleted} deleted, {vanished} vanished, {purged} purged",
        "живых {live}, из них просрочено {expired}; удалённых {deleted}, пропавших {vanished}, "
        "выбывших из списка {purged}",
    ),
    "report_net": Text("New, deleted, net", "Новые, удалённые и разница"),
    "report_kinds": Text("By type and tariff", "По типам и тарифам"),
    "report_months": Text("Month by month", "По месяцам"),
    "report_attention": Text(
        "What needs attention (SELECT * FROM bi_attention)", "На что посмотреть (SELECT * FROM bi_attention)"
    ),
    "report_freshness": Text("Freshness", "Свежесть данных"),
    "report_blind": Text(
        "careful: {account} saw nothing for more than 80 days before run {run} ({moment}); deletions of that time may "
        "be unknown",
        "осторожно: перед запуском {run} ({moment}) у {account} больше 80 дней не было ни одного ответа; удаления "
        "за это время могли остаться неизвестны",
    ),
    "report_first": Text(
        "the first answer was seen at {moment}; instances deleted more than three months before are unknown",
        "первый ответ получен {moment}; инстансы, удалённые больше чем за три месяца до него, неизвестны",
    ),
    "period_today": Text("today", "сегодня"),
    "period_week": Text("last 7 days", "последние 7 дней"),
    "period_30_days": Text("last 30 days", "последние 30 дней"),
    "period_month": Text("this month", "этот месяц"),
    "report_written": Text("the report is in {file}", "отчёт: {file}"),
    "statement_written": Text("the statement is in {file}", "счёт клиенту: {file}"),
    "rows_so_far": Text(
        ("{view}: {n} row", "{view}: {n} rows"), ("{view}: {n} строка", "{view}: {n} строки", "{view}: {n} строк")
    ),
    "rows_written": Text(
        ("{n} row of {view} is in {file}", "{n} rows of {view} are in {file}"),
        ("{n} строка {view}: {file}", "{n} строки {view}: {file}", "{n} строк {view}: {file}"),
    ),
    # one life
    "life": Text(
        "Instance {instance}{name} ({kind}) of the account {account}",
        "Инстанс {instance}{name} ({kind}), аккаунт {account}",
    ),
    "quoted": Text(" “{name}”", " «{name}»"),
    "life_created": Text("It was created.", "Создан."),
    "life_reappeared": Text("It was listed again.", "Снова появился в списке."),
    "life_restored": Text(
        "It was restored: the upstream does not call it deleted any more.",
        "Восстановлен: API больше не называет его удалённым.",
    ),
    "life_renewed": Text("It was paid for again{until}.", "Снова оплачен{until}."),
    "life_extended": Text("It was extended{until}.", "Продлён{until}."),
    "life_changed": Text("It was changed:", "Изменился:"),
    "life_token_rotated": Text("Its token was changed.", "Сменился токен."),
    "life_expired": Text("It expired.", "Истёк срок."),
    "life_deleted": Text("It was deleted.", "Удалён."),
    "life_vanished": Text(
        "It vanished: not listed any more, though nobody said that it was deleted.",
        "Пропал: в списке его больше нет, хотя об удалении никто не сообщал.",
    ),
    "life_purged": Text(
        "The upstream dropped it from the list, as it does about three months after a deletion.",
        "API убрал его из списка, как делает примерно через три месяца после удаления.",
    ),
    "until": Text(", until {moment}", " до {moment}"),
    # receivers
    "receivers": Text("Receivers", "Получатели"),
    "col_receiver": Text("receiver", "получатель"),
    "col_format": Text("format", "формат"),
    "col_behind": Text("behind", "ждёт отправки"),
    "col_behind_since": Text("behind since", "ждёт с"),
    "col_delivered_at": Text("delivered at", "доставлено"),
    "col_next_try_at": Text("next try at", "следующая попытка"),
    "col_last_error": Text("error", "ошибка"),
    "receiver_stopped": Text(
        "{name} answered that it wants no more (HTTP 410); to go on, run: syncer receivers resume {name}",
        "{name} ответил, что больше ничего не ждёт (HTTP 410); чтобы продолжить: syncer receivers resume {name}",
    ),
    "receiver_new": Text(
        "{name} is started by the daemon, at the present: syncer run",
        "{name} начнёт получать с этой минуты, когда запустится демон: syncer run",
    ),
    "receiver_left": Text(
        "{name} is not among the receivers of these settings", "{name}: в этих настройках такого получателя нет"
    ),
    "no_receivers": Text(
        "no receivers are set: see [receivers.NAME] in docs/receivers.md",
        "получатели не заданы: см. [receivers.NAME] в docs/receivers.md",
    ),
    "receiver_took_test": Text(
        "receiver {name} took the test: HTTP {status}, id {id}",
        "получатель {name} принял проверку: HTTP {status}, id {id}",
    ),
    "receiver_tried_again": Text(
        "receiver {name} is tried again now, by the daemon", "демон снова отправляет получателю {name}"
    ),
    "receiver_not_stopped": Text(
        "receiver {name} was not stopped: it takes what it is sent",
        "получатель {name} не был остановлен: он принимает всё, что ему шлют",
    ),
    "by_upstream": Text(
        "the upstream's own time; seen by run {run} at {moment}",
        "время по словам API; замечено запуском {run} {moment}",
    ),
    "first_seen_by": Text("when run {run} first saw it", "тогда его впервые увидел запуск {run}"),
    "seen_after": Text(
        "seen by run {run}; it happened after {before}, the answer before",
        "замечено запуском {run}; случилось после предыдущего ответа, полученного {before}",
    ),
    "the_account": Text("the account", "аккаунт"),
    "is_active": Text("It lives", "Живёт"),
    "is_expired": Text("It is expired, and not deleted", "Срок истёк, но инстанс не удалён"),
    "is_deleted": Text("It is deleted", "Удалён"),
    "is_vanished": Text("It is not listed", "В списке его нет"),
    "is_purged": Text("It is deleted and not listed any more", "Удалён и в списке больше не значится"),
    "lived": Text("{status}; {age} old, charged for {billed}.", "{status}; возраст {age}, начислено за {billed}."),
    "expires_at": Text("Its expiration date is {moment}.", "Срок действия — до {moment}."),
    "renewed_at": Text(
        "That date was last seen to move forward at {moment}.", "Последний раз срок сдвинулся вперёд {moment}."
    ),
    "listed_at": Text("It was last listed at {moment}.", "Последний раз был в списке {moment}."),
}


def terminal_words(language: Language) -> Words:
    """The words of a terminal: numbers stand there as they can be copied."""
    return Words(language, TERMINAL, write=str)
