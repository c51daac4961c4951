"""What a customer's statement says."""

from syncer.words.catalogue import Catalogue, Text

STATEMENT: Catalogue = {
    "statement": Text("Statement for {month}", "Отчёт за {month}"),
    "so_far": Text("so far, until {day}", "пока что, по {day}"),
    "of_days": Text("{first} to {last}", "{first} – {last}"),
    "to_pay": Text("In all", "Итого"),
    "nothing_to_pay": Text("nothing", "ничего"),
    "no_instances": Text("There were no instances in this month.", "В этом месяце инстансов не было."),
    "col_instance": Text("instance", "инстанс"),
    "col_name": Text("name", "название"),
    "col_first": Text("first day", "первый день"),
    "col_last": Text("last day", "последний день"),
    "col_days": Text("days", "дней"),
    "col_price": Text("price of a day", "цена дня"),
    "col_amount": Text("amount", "сумма"),
    "in_all": Text(
        ("{n} instance-day", "{n} instance-days"), ("{n} инстансо-день", "{n} инстансо-дня", "{n} инстансо-дней")
    ),
    "how_days_count": Text(
        "Days are days at UTC+3. An instance counts on the day on which it is created, and on each day at whose 00:00 "
        "it is there.",
        "Сутки — по UTC+3. Инстанс считается в день создания и в каждый день, в 00:00 которого он есть.",
    ),
}
