"""What the report says. `{n}` is a count; a text with several forms has one for each number of its language."""

from syncer.words.catalogue import Catalogue, Text

REPORT: Catalogue = {
    # the head
    "title": Text("Instances", "Инстансы"),
    "title_of": Text("Instances of {account}", "Инстансы: {account}"),
    "as_of": Text("{moment} (UTC+3)", "{moment} (UTC+3)"),
    "empty_title": Text("Nothing here yet", "Пока пусто"),
    "empty_unseen": Text(
        "syncer has not seen an answer of the upstream yet. One run brings the first instances:",
        "syncer ещё не получил ни одного ответа от API. Первые инстансы появятся после одного запуска:",
    ),
    "empty_seen": Text(
        "The upstream answers, and its list is empty: no instance has been created yet. "
        "The first one will be on this page after the next run.",
        "API отвечает, но список пуст: ни одного инстанса ещё не создано. "
        "Первый появится на этой странице после следующего запуска.",
    ),
    # the headline row
    "live": Text("Live", "Живых"),
    "live_change": Text("{change} ({share}) since the end of {month}", "{change} ({share}) с\u00a0конца {month}"),
    "live_same": Text("as many as at the end of {month}", "столько же, сколько в конце {month}"),
    "live_new": Text("none lived at the end of {month}", "в конце {month} не было ни одного"),
    "net_new": Text("Net new this month", "Прирост за месяц"),
    "came_and_went": Text("{came} came, {gone} went", "пришло {came}, ушло {gone}"),
    "month_before": Text("{month}: {value}", "{month}: {value}"),
    "churn": Text("Churn this month", "Отток за месяц"),
    "churn_lost": Text(
        ("{n} of {opening} lost", "{n} of {opening} lost"),
        ("потерян {n} из {opening}", "потеряно {n} из {opening}", "потеряно {n} из {opening}"),
    ),
    "cost": Text("Cost this month", "Расход за месяц"),
    "forecast_by": Text("forecast {amount} by {day}", "прогноз: {amount} к\u00a0{day}"),
    "no_prices": Text("no prices are set", "цены не заданы"),
    "no_prices_remedy": Text("set them: syncer rates set", "задать: syncer rates set"),
    "wasted": Text("Paid for nothing, 30 days", "Впустую за 30 дней"),
    "nothing_wasted": Text("nothing", "ничего"),
    "wasted_unpriced": Text(
        ("{n} instance-day", "{n} instance-days"), ("{n} инстансо-день", "{n} инстансо-дня", "{n} инстансо-дней")
    ),
    "leak_expired_not_deleted": Text(
        ("{n} expired", "{n} expired"), ("{n} просроченный", "{n} просроченных", "{n} просроченных")
    ),
    "leak_lived_under_a_day": Text(
        ("{n} lived under a day", "{n} lived under a day"),
        ("{n} прожил меньше суток", "{n} прожили меньше суток", "{n} прожили меньше суток"),
    ),
    "leak_customer_left": Text(
        ("{n} of a customer who left", "{n} of customers who left"),
        ("{n} ушедшего клиента", "{n} ушедших клиентов", "{n} ушедших клиентов"),
    ),
    "age": Text("Age of the data", "Возраст данных"),
    "age_none": Text("no data", "нет данных"),
    "age_seen": Text("seen {moment}", "получены {moment}"),
    "age_oldest": Text("the oldest of {n} accounts: {account}", "самые давние — у {account}, аккаунтов {n}"),
    "seconds": Text(("{n} s", "{n} s"), ("{n} с", "{n} с", "{n} с")),
    "minutes": Text(("{n} min", "{n} min"), ("{n} мин", "{n} мин", "{n} мин")),
    "hours": Text(("{n} h", "{n} h"), ("{n} ч", "{n} ч", "{n} ч")),
    "days": Text(("{n} day", "{n} days"), ("{n} день", "{n} дня", "{n} дней")),
    # what must be known before any figure is believed
    "state_never": Text("{account}: no answer was accepted yet.", "{account}: ни один ответ ещё не принят."),
    "state_held": Text(
        "{account}: the last answer is held by the guard, the figures are those of {moment}.",
        "{account}: последний ответ задержан, цифры — на {moment}.",
    ),
    "state_clock": Text(
        "{account}: this machine's clock is wrong, the figures are those of {moment}.",
        "{account}: часы этой машины врут, цифры — на {moment}.",
    ),
    "state_stale": Text(
        "{account}: the data is old, of {moment}. Is syncer running?",
        "{account}: данные устарели, они за {moment}. Запущен ли syncer?",
    ),
    "state_failing": Text(
        "{account}: the last run failed, the figures are those of {moment}.",
        "{account}: последний запуск не удался, цифры — на {moment}.",
    ),
    "more_accounts": Text(
        ("and {n} more account: syncer status", "and {n} more accounts: syncer status"),
        (
            "и ещё {n} аккаунт: syncer status",
            "и ещё {n} аккаунта: syncer status",
            "и ещё {n} аккаунтов: syncer status",
        ),
    ),
    "blind_gap": Text(
        "{account}: before {moment} nothing was seen for more than 80 days; deletions of that time may be unknown, "
        "as the upstream forgets them after about three months.",
        "{account}: перед {moment} больше 80 дней не было ни одного ответа; удаления за это время могли остаться "
        "неизвестны, потому что API забывает их примерно через три месяца.",
    ),
    # pictures
    "table": Text("The figures", "Цифры"),
    "unseen": Text("before syncer watched ({day})", "до начала наблюдения ({day})"),
    "estate": Text("Estate over time", "Сколько инстансов живёт"),
    "estate_remark": Text(
        "Live instances at the end of each week; below, who came and who went in it.",
        "Живые инстансы на конец каждой недели; ниже — сколько пришло и сколько ушло.",
    ),
    "moves": Text("Who came and who went, week by week", "Кто пришёл и кто ушёл, по неделям"),
    "came": Text("created", "создано"),
    "went": Text("deleted", "удалено"),
    "active": Text("active", "активные"),
    "expired": Text("expired", "просроченные"),
    "deleted": Text("deleted", "удалённые"),
    "vanished": Text("vanished", "пропавшие"),
    "week_of": Text("week of", "неделя с"),
    "waterfall": Text("What became of {month}", "Как прошёл {month}"),
    "waterfall_running": Text("{month} so far", "Как идёт {month}"),
    "waterfall_cut": Text("The bars begin at {n}, not at zero.", "Полосы начинаются с {n}, а не с нуля."),
    "waterfall_partly": Text(
        "syncer has watched since {day}; what was before is as the first answer told it.",
        "syncer наблюдает с {day}; что было раньше, известно лишь из первого ответа.",
    ),
    "opening": Text("Opening", "В начале"),
    "move_created": Text("Created", "Создано"),
    "move_returned": Text("Returned", "Вернулось"),
    "move_moved": Text("Moved", "Переехало"),
    "move_deleted": Text("Deleted", "Удалено"),
    "move_vanished": Text("Vanished", "Пропало"),
    "closing": Text("Closing", "В конце"),
    "now": Text("Now", "Сейчас"),
    "month": Text("month", "месяц"),
    "col_opening": Text("opening", "в начале"),
    "col_created": Text("created", "создано"),
    "col_returned": Text("returned", "вернулось"),
    "col_moved": Text("moved", "переехало"),
    "col_deleted": Text("deleted", "удалено"),
    "col_vanished": Text("vanished", "пропало"),
    "col_closing": Text("closing", "в конце"),
    "col_lost": Text("lost", "потеряно"),
    "col_churn": Text("churn", "отток"),
    "cohorts": Text("Who stays", "Кто остаётся"),
    "cohorts_remark": Text(
        "Of the instances created in a month, how many per cent still live so many months later.",
        "Сколько процентов созданных в месяце ещё живут спустя столько месяцев.",
    ),
    "created_in": Text("created in", "созданы"),
    "size": Text("size", "всего"),
    "age_in_months": Text("months →", "месяцы →"),
    "cost_per_month": Text("Cost per month, {currency}", "Расход по месяцам, {currency}"),
    "days_per_month": Text("Instance-days per month", "Инстансо-дни по месяцам"),
    "forecast": Text("forecast", "прогноз"),
    "forecast_key": Text("hatched: forecast to the month's end", "штриховка — прогноз до конца месяца"),
    "unpriced": Text(
        "{share} of this month's instance-days have no price and are in no amount.",
        "У {share} инстансо-дней этого месяца нет цены, в суммы они не входят.",
    ),
    "no_prices_at_all": Text(
        "No prices are set, so days are counted instead of money. Set them with: "
        "syncer rates set TARIFF PRICE CURRENCY --from DAY",
        "Цены не заданы, поэтому вместо денег — дни. Задать: syncer rates set ТАРИФ ЦЕНА ВАЛЮТА --from ДЕНЬ",
    ),
    "currency": Text("currency", "валюта"),
    "without_price": Text("no price", "без цены"),
    "instance_days": Text("instance-days", "инстансо-дни"),
    "amount": Text("amount", "сумма"),
    "expiries": Text("Expiring in the next 30 days", "Срок кончается в ближайшие 30 дней"),
    "expiries_remark": Text(
        "Live instances that do not renew themselves, by their last day.",
        "Живые инстансы без автопродления, по последнему дню.",
    ),
    "expiries_none": Text(
        "Nothing expires in the next 30 days.", "В ближайшие 30 дней ни у одного инстанса срок не кончается."
    ),
    "within_a_week": Text("within a week", "в ближайшую неделю"),
    "later": Text("later", "позже"),
    "day": Text("day", "день"),
    "instances": Text("instances", "инстансы"),
    "counted_instances": Text(("{n} instance", "{n} instances"), ("{n} инстанс", "{n} инстанса", "{n} инстансов")),
    "kinds": Text("By messenger and tariff", "По мессенджерам и тарифам"),
    "messenger_and_tariff": Text("messenger and tariff", "мессенджер и тариф"),
    "col_live": Text("live", "живых"),
    "col_expired": Text("expired", "истекли"),
    "none": Text("none", "нет"),
    "unnamed": Text("no name", "без названия"),
    "more_kinds": Text(("{n} more kind", "{n} more kinds"), ("ещё {n} вид", "ещё {n} вида", "ещё {n} видов")),
    # attention
    "attention": Text("What needs attention", "На что посмотреть"),
    "attention_none": Text("Nothing needs attention.", "Всё в порядке: смотреть не на что."),
    "severity_1": Text("money is lost", "теряются деньги"),
    "severity_2": Text("soon", "скоро"),
    "severity_3": Text("to know", "к сведению"),
    "reason_expired_not_deleted": Text(
        "Expired, not deleted, still charged", "Просрочены, не удалены и всё ещё оплачиваются"
    ),
    "reason_not_renewed": Text("Did not renew at the last 00:00 UTC+3", "Не продлились в последние 00:00 UTC+3"),
    "reason_expiring_soon": Text("Expire within 7 days", "Срок кончается в ближайшие 7 дней"),
    "reason_vanished": Text("Vanished without a deletion", "Пропали из списка, хотя удалены не были"),
    "reason_lived_under_a_day": Text("Lived under a day, charged all the same", "Прожили меньше суток, но оплачены"),
    "reason_claimed_twice": Text("Listed by two accounts", "Есть в списках двух аккаунтов"),
    "since": Text("since {day}", "с {day}"),
    "lost_in_30_days": Text("30 days", "за 30 дней"),
    "and_more": Text(("and {n} more", "and {n} more"), ("и ещё {n}", "и ещё {n}", "и ещё {n}")),
    "all_of_them": Text("All of them: syncer export bi_attention", "Весь список: syncer export bi_attention"),
    # how to read it
    "notes": Text("How to read this", "Как это читать"),
    "note_days": Text(
        "Days are days at UTC+3, where the upstream bills; weeks begin on Monday. Live is what is listed and not "
        "deleted; what is expired lives until it is deleted, and is charged.",
        "Сутки — по UTC+3, как их считает GREEN-API; неделя начинается с понедельника. Живой — тот, что есть в списке "
        "и не удалён; просроченный живёт, пока его не удалят, и оплачивается.",
    ),
    "note_churn": Text(
        "Churn: what lived when the month began and does not live at its end, as a share of the former. "
        "Returned: restored, or listed again after a deletion. Vanished: not listed any more, though nobody said "
        "that it was deleted.",
        "Отток — доля живших в начале месяца, которые до его конца не дожили. Вернулись — восстановлены или снова в "
        "списке после удаления. Пропали — исчезли из списка, хотя об удалении никто не сообщал.",
    ),
    "note_wasted": Text(
        "Paid for nothing: what the last 30 days were charged for instances that had expired and are not deleted, for "
        "those whose customer has left, and for those that were deleted within a day of their creation. Each day "
        "counts once, at its price.",
        "Впустую — сколько за последние 30 дней начислено за просроченные и не удалённые инстансы, за инстансы ушедших "
        "клиентов и за те, что удалили в первые же сутки. Каждый день — один раз и по своей цене.",
    ),
    "note_first": Text(
        "syncer saw its first answer on {day}. The upstream forgets deleted instances after about three months: "
        "earlier months show too few created and too many who stayed.",
        "Первый ответ syncer получил {day}. Удалённые инстансы API забывает примерно через три месяца, поэтому за "
        "более ранние месяцы созданных показано меньше, чем было, а оставшихся — больше.",
    ),
    "made_by": Text(
        "Made by syncer from the mirror; nothing in it calls anywhere.",
        "Сделано syncer по зеркалу; страница никуда не обращается.",
    ),
}
