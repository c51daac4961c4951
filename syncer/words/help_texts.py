"""What help says: the English text as a command, an option or a setting has it, and what it is in Russian."""

from syncer.words.catalogue import Text
from syncer.words.language import Language

_PARTS = (
    Text("Options", "Параметры"),
    Text("Commands", "Команды"),
    Text("Example", "Пример"),
    Text("Show this message and exit.", "Показать эту справку и выйти."),
    Text("Show syncer's version and its schema's, and exit.", "Показать версии syncer и его схемы и выйти."),
    Text("Database, token and other settings that commands share: syncer help settings",
         "База, токен и другие общие для всех команд настройки: syncer help settings"),
    Text("Only this account.", "Только этот аккаунт."),
    Text("Print one JSON document.", "Вывести один документ JSON."),
    Text("The file of settings, else ./syncer.toml.", "Файл настроек; если не указан — ./syncer.toml."),
)  # fmt: skip

_COMMANDS = (
    Text("Mirror a GREEN-API partner's instances into SQL, with a history of every deletion, expiry and renewal.",
         "Зеркало инстансов партнёра GREEN-API в SQL: с историей всех удалений, окончаний срока и продлений."),
    Text("One run of every account, then exit.", "Один запуск каждого аккаунта — и выход."),
    Text("Show what a run would change, field by field; write nothing.",
         "Показать по полям, что изменил бы запуск; ничего не писать."),
    Text("Run as a daemon: now, then on the schedule. SIGTERM or SIGINT ends it.",
         "Работать демоном: сразу, потом по расписанию. Останавливают его SIGTERM и SIGINT."),
    Text("Let through what run RUN was held for, and nothing larger. On a terminal it shows all of it, and asks.",
         "Пропустить то, за что задержан запуск RUN, и ничего сверх того. На терминале сначала всё покажет и спросит."),
    Text("Do not ask.", "Не спрашивать."),
    Text("Accounts that the database knows: list, rename or retire them.",
         "Аккаунты, о которых знает база: list, rename, retire."),
    Text("Show every account with its state and instances. It says which are configured here, and which are retired.",
         "Показать все аккаунты, их состояние и число инстансов. Видно, какие есть в настройках и какие выведены из "
         "работы."),
    Text("Give account OLD the name NEW. Its history, claims and status follow; name it NEW in the settings too.",
         "Дать аккаунту OLD имя NEW. История и состояние переходят к новому имени; в настройках его тоже нужно "
         "назвать NEW."),
    Text("Expect no answer of account NAME any more. Another account that lists its instances takes them over.",
         "Больше не ждать ответов аккаунта NAME. Его инстансы примет другой аккаунт, если они есть в его списке."),
    Text("Show freshness, counts and the last runs. Exit code 0 only when every account is fresh.",
         "Показать свежесть данных, счётчики и последние запуски. Код возврата 0 — только если свежи данные всех "
         "аккаунтов."),
    Text("Show the estate at a past moment instead.", "Показать, какими инстансы были в прошлом."),
    Text("Show transitions, newest last.", "Показать переходы, последние — внизу."),
    Text("Observed at or after this time: 2026-10-01, yesterday, 7d; a day begins at 00:00 UTC+3.",
         "Замеченные начиная с этого времени: 2026-10-01, yesterday, 7d; сутки начинаются в 00:00 UTC+3."),
    Text("Observed before this time.", "Замеченные до этого времени."),
    Text("At most the newest so many; 1000 on a terminal.", "Не больше стольких последних; на терминале — 1000."),
    Text("Check settings, upstream, database, schema and clock. Each finding has its remedy.",
         "Проверить настройки, API, базу, схему и часы. К каждой находке — что с ней делать."),
    Text("Show the shape of an answer, never a name or a secret. Calls the upstream once.",
         "Показать строение ответа без названий и секретов. Обращается к API один раз."),
    Text("Check the promises of the tables on this database. Exit code 1 when one is broken.",
         "Проверить на этой базе всё, что обещают таблицы. Код возврата 1, если обещание нарушено."),
    Text("The database's schema and rights.", "Схема базы и права на неё."),
    Text("Bring the schema to this syncer's version.", "Обновить схему до версии этого syncer."),
    Text("Bring the schema back to REVISION, for an older syncer. Stop every syncer first.",
         "Вернуть схему к REVISION для старого syncer. Сначала остановите все syncer."),
    Text("Show the schema's version.", "Показать версию схемы."),
    Text("Check that the schema is what this syncer works on. Exit code 0 only then.",
         "Проверить, что схема — та, с которой работает этот syncer. Код возврата 0 — только тогда."),
    Text("Set rows that were edited by hand back. They become what their history says.",
         "Вернуть строки, которые правили руками. Они станут такими, как говорит их история."),
    Text("Let a PostgreSQL ROLE read what holds no secret. That is the views and most tables; run it after each "
         "upgrade.",
         "Дать роли PostgreSQL читать всё, где нет секретов. Это представления и почти все таблицы; повторяйте после "
         "каждого обновления."),
    Text("Copy the mirror into another database. Stop every syncer first; a copy that was interrupted goes on.",
         "Скопировать зеркало в другую базу. Сначала остановите все syncer; прерванное копирование продолжится."),
    Text("The other database, by a URL without a password.", "Адрес другой базы, без пароля."),
    Text("The file that holds its URL, password and all.", "Файл с её адресом, вместе с паролем."),
    Text("Find instances by a part of their name, id or customer. Capital letters make no difference.",
         "Найти инстансы по части названия, номера или имени клиента. Большие и малые буквы не различаются."),
    Text("Tell one instance's life in plain words. Each step names the run that saw it.",
         "Рассказать об одном инстансе простыми словами. Для каждого шага сказано, какой запуск его заметил."),
    Text("Keep prices: what a day of a tariff costs. The API has none.",
         "Цены: сколько стоит день каждого тарифа. В API цен нет."),
    Text("Record that a day of TARIFF costs RATE.", "Записать, что день тарифа TARIFF стоит RATE."),
    Text("The first day (UTC+3) at this price; today if not given.",
         "Первый день (UTC+3) с этой ценой; если не указан — сегодня."),
    Text("Take away the price of TARIFF that begins on a day. The one before it holds on, if there is one.",
         "Убрать цену тарифа TARIFF, которая действует с этого дня. Дальше действует предыдущая, если она есть."),
    Text("The day on which the price begins.", "День, с которого действует цена."),
    Text("Show every price, and the tariffs in use that have none.",
         "Показать все цены и тарифы, у которых цены нет."),
    Text("Show what a month costs by the upstream's rule. MONTH is such as 2026-11, or this one if not given.\n\n"
         "Exit code 1 if an invoice does not agree.",
         "Показать, сколько стоит месяц по правилам GREEN-API. MONTH — месяц вида 2026-11; если не указан — текущий."
         "\n\nКод возврата 1, если счёт не сходится."),
    Text("What a line is of.", "О чём каждая строка: о тарифе, инстансе или клиенте."),
    Text("The vendor's invoice (CSV) to compare.", "Счёт GREEN-API (CSV), с которым сравнить."),
    Text("The invoice's column of instance ids.", "Столбец счёта с номерами инстансов."),
    Text("Its column of tariffs, if it has no ids.", "Его столбец с тарифами, если номеров нет."),
    Text("Its column of days.", "Его столбец с днями."),
    Text("Its column of amounts.", "Его столбец с суммами."),
    Text("Keep whose instance it is, and what its day is sold for. The API knows no customers.",
         "Клиенты: чей инстанс и почём продан его день. API о клиентах не знает."),
    Text("Make FILE the customers: a whole list, so what it lacks is removed.\n\n"
         "FILE is a CSV file with the columns id, customer, from, to, price and currency, by these names or Russian "
         "ones;\nfrom and to are the first and the last day, price is that of a day. What changes is shown. A list "
         "that would drop\nmore than half of what is known is held, with exit code 6, until --yes.",
         "Загрузить клиентов из FILE: это весь список, чего в нём нет — убирается.\n\n"
         "FILE — это CSV со столбцами id, customer, from, to, price и currency; названия могут быть и русскими. "
         "from и to — первый и последний день, price — цена дня. Показывает, что изменится. Если из-за списка пропало "
         "бы больше половины известного, он задерживается с кодом возврата 6, пока не указан --yes."),
    Text("Show what would change, and write nothing.", "Показать, что изменится, и ничего не писать."),
    Text("Load it even if it drops more than half of what is known.",
         "Загрузить, даже если пропадёт больше половины известного."),
    Text("Show whose every instance was and is.", "Показать, чей каждый инстанс сейчас и чьим был раньше."),
    Text("Who is told of what happens: list, test, resume.", "Кому сообщать о событиях: list, test, resume."),
    Text("Show every receiver, and what is behind.\n\n"
         "What it was not told yet and since when, and why. Addresses are not shown.",
         "Показать всех получателей и что им ещё не отправлено.\n\n"
         "Сколько событий ждёт, с какого времени и почему. Адреса не показываются."),
    Text("Send NAME one marked message, and show its answer.\n\nIt says that it is a test, and is not repeated.",
         "Отправить NAME проверочное сообщение и показать ответ.\n\nВ нём сказано, что это проверка; оно не "
         "повторяется."),
    Text("Send to NAME again, from where it stopped.\n\nAt once, and nothing is left out.",
         "Снова отправлять NAME с места остановки.\n\nСразу же и ничего не пропуская."),
    Text("Show what changed between two moments. They are days, times, or words such as yesterday and 7d.",
         "Показать, что изменилось между двумя моментами. Это дни, время или слова вроде yesterday и 7d."),
    Text("Write a view as csv, jsonl, parquet or xlsx.", "Выгрузить представление в csv, jsonl, parquet или xlsx."),
    Text("csv, jsonl, parquet or xlsx; by the file's ending if not given.",
         "csv, jsonl, parquet или xlsx; если не указан — по имени файла."),
    Text("CSV as Excel opens it: semicolons, decimal commas, ids as text, times at UTC+3.",
         "CSV, каким его открывает Excel: точка с запятой, десятичная запятая, номера текстом, время по UTC+3."),
    Text("The file; standard output if not given.", "Файл; если не указан — стандартный вывод."),
    Text("Show the estate in figures; --html FILE adds charts.\n\n"
         "With --customer it is what one customer is charged for MONTH, such as 2026-11, or this one if not given.",
         "Показать всё в цифрах; --html FILE — страница с графиками.\n\n"
         "С --customer — сколько начислено одному клиенту за месяц MONTH вида 2026-11; если не указан — за текущий."),
    Text("This customer's statement of MONTH: days and price, nothing else.",
         "Счёт этому клиенту за MONTH: дни и цена, больше ничего."),
    Text("Write one self-contained page instead.",
         "Вместо этого записать страницу: один файл, больше ничего не нужно."),
    Text("Print the token of instance ID, for the eyes of who asks. It needs the key that the tokens are kept under.",
         "Показать токен инстанса ID — только тому, кто спросил. Нужен ключ, которым токены зашифрованы."),
    Text("Serve a local stand-in for the partner API. Its answers follow a script.",
         "Запустить локальный поддельный партнёрский API. Он отвечает по сценарию."),
    Text("What it answers, poll by poll; 'list' lists them.", "Что он отвечает, запрос за запросом; 'list' — список."),
    Text("Its port.", "Его порт."),
    Text("A loopback address.", "Адрес этой же машины."),
    Text("See syncer at work, no token needed. It polls a fake API over simulated days and shows what it knows then.",
         "Посмотреть syncer в деле, токен не нужен. Он опрашивает поддельный API несколько придуманных дней и "
         "показывает, что узнал."),
    Text("The SQLite file to write; that of an earlier demo is replaced.",
         "Файл SQLite для записи; файл прошлого демо заменяется."),
    Text("Show how a command is used, or the settings that all share.",
         "Показать, как пользоваться командой, или общие настройки."),
)  # fmt: skip

_SETTINGS = (
    Text("The partner token", "Партнёрский токен"),
    Text("The file with the partner token; mode 600", "Файл с партнёрским токеном; права 600"),
    Text("The upstream's address", "Адрес API"),
    Text("Where the mirror is, SQLite or PostgreSQL", "Где лежит зеркало: SQLite или PostgreSQL"),
    Text("A file with that URL, password and all", "Файл с этим адресом, вместе с паролем"),
    Text("When the daemon runs: 90s, 15m, 1h or five fields of cron",
         "Когда работает демон: 90s, 15m, 1h или пять полей cron"),
    Text("The zone of a cron expression", "Часовой пояс выражения cron"),
    Text("The offset of the upstream's times", "Часовой пояс, в котором API отдаёт время"),
    Text("How old a new instance must be for isExpired to be believed",
         "С какого возраста нового инстанса верить isExpired"),
    Text("The share of live instances that may vanish at once", "Какая доля живых инстансов может пропасть разом"),
    Text("The share that one answer may declare deleted, restored, expired or stripped",
         "Какую долю один ответ может объявить удалёнными, восстановленными, просроченными или лишившимися данных"),
    Text("How far this machine's clock may be from the upstream's; or off",
         "Насколько часы этой машины могут расходиться с часами API; или off"),
    Text("The name of the account that the token belongs to", "Имя аккаунта, которому принадлежит токен"),
    Text("A key of 32 bytes; with it tokens are kept, encrypted",
         "Ключ из 32 байт; с ним хранятся и токены инстансов, зашифрованными"),
    Text("A file with that key", "Файл с этим ключом"),
    Text("How long one whole answer may take", "Сколько ждать ответа целиком"),
    Text("The largest answer, decompressed", "Наибольший размер ответа после распаковки"),
    Text("console or json", "console или json"),
    Text("console on a terminal, else json", "на терминале console, иначе json"),
    Text("debug, info, warning or error", "debug, info, warning или error"),
    Text("The language of what people read: en or ru", "Язык всего, что читают люди: en или ru"),
    Text("from LANG, else en", "из LANG, иначе en"),
    Text("host:port of the daemon's /healthz, /readyz and /metrics",
         "host:port, на котором демон отдаёт /healthz, /readyz и /metrics"),
    Text("A dead-man's switch, pinged at each run's start and end",
         "Адрес внешнего сторожа, которому сообщается о начале и конце каждого запуска"),
    Text("Upgrade an older schema at start", "Обновлять старую схему при запуске"),
)  # fmt: skip

HELP: tuple[Text, ...] = (*_PARTS, *_COMMANDS, *_SETTINGS)


def help_in_words(language: Language, text: str) -> str:
    """A text of help in a language; one that is not in the catalogue stays as it is."""
    if language is Language.EN:
        return text
    return next((str(one.ru) for one in HELP if one.en == text), text)
