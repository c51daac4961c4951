"""What a support engineer who speaks Russian reads: every command of hers in Russian, and what machines read as it was."""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import fault_server as fault
import pytest
from builders import item, paid
from conftest import RunSyncer
from fault_server import Behaviour, FaultServer
from mirror import Mirror

from syncer.demo import demo
from syncer.words.language import Language

RUSSIAN = {"SYNCER_LANG": "ru"}
CODES = re.compile(
    r"'[^']*'|\"[^\"]*\"|“[^”]*”|«[^»]*»|\([^()]*SELECT [^()]*\)|syncer( [a-z-]+)+|--[a-z-]+|\S*[_@/=\d.:]\S*|"
    r"\b(active|expired|deleted|vanished|purged|created|renewed|extended|changed|restored|reappeared|token_rotated|"
    r"ok|unchanged|null|held|failed|never|stale|failing|running|demo|default|missing|true|false|none|empty|foreign|"
    r"syncer|status|name|tariff|WhatsApp|Telegram|MAX|JSON|HTTP|Unauthorized|True|False|SQLite)\b"
)
WORD = re.compile(r"\b[a-z]{2,}\b")


def english_in(shown: str, names: set[str]) -> list[str]:
    """Words of English that stand there and are neither a code nor part of a name."""
    for name in sorted(names, key=len, reverse=True):
        shown = shown.replace(name, "")
    return WORD.findall(CODES.sub("", shown))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """The demo's mirror, in which everything happened that can, and the names in it."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    demo.play(path, datetime(2026, 11, 23, 10, tzinfo=UTC), Language.EN)
    mirror = Mirror(f"sqlite:///{path}")
    names = {row["name"] for row in mirror.history() if row["name"]}
    mirror.engine.dispose()
    return path, names


@pytest.fixture
def env(played: tuple[Path, set[str]], tmp_path: Path) -> dict[str, str]:
    shutil.copy(played[0], tmp_path / "mirror.db")
    return {**RUSSIAN, "SYNCER_DATABASE_URL": f"sqlite:///{tmp_path}/mirror.db"}


QUESTIONS = {
    "status": "демон не запущен",
    "status --as-of 2026-11-17": "Инстансы на 2026-11-16T21:00:00Z",
    "report": "Свежесть данных",
    "bill 2026-11": "прогноз до конца месяца",
    "bill 2026-11 --by instance": "инстансо-дней",
    "bill 2026-11 --by customer": "ничей",
    "find такси": "срок до",
    "find nothing-is-called-so": "такого нет",
    "history": "(замечено)",
    "diff 2026-11-15 2026-11-22": "стало",
    "rates list": "Цены дня",
    "accounts list": "Аккаунты",
    "customers list": "клиенты ещё не загружены",
    "db current": "этот syncer работает со схемой",
    "db check": "такая, какой должна быть",
    "db upgrade": "схема 0",
    "db repair": "исправлять нечего",
}


@pytest.mark.parametrize("command", QUESTIONS)
def test_an_answer_is_in_russian(
    run_syncer: RunSyncer, env: dict[str, str], played: tuple[Path, set[str]], command: str
) -> None:
    done = run_syncer(*command.split(), env=env)

    assert QUESTIONS[command] in done.stdout
    assert "" == done.stderr
    assert [] == english_in(done.stdout, played[1])


def test_the_checks_of_verify_are_in_russian(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    lines = run_syncer("verify", env=env).stdout.splitlines()
    said = "\n".join(line.partition(": ")[2] for line in lines[:-1]) + lines[-1]

    assert all(re.match(r"ok +\w+: [А-Я`]", line) for line in lines[:-1])
    assert [] == english_in(re.sub("`[^`]*`", "", said), set())


def test_the_demo_is_told_in_russian(run_syncer: RunSyncer, played: tuple[Path, set[str]], tmp_path: Path) -> None:
    done = run_syncer("demo", env=RUSSIAN)
    told, _, asked = done.stdout.partition("SELECT")
    mirror = asked[asked.index("Зеркало") :].replace(str(tmp_path), "")

    assert "только что: ничего не изменилось" in told
    assert all(title in asked for title in ("Что случилось последним", "Сколько живёт", "Сколько стоит"))
    assert [] == english_in(told + mirror, played[1])


def test_every_life_is_told_in_russian(
    run_syncer: RunSyncer, env: dict[str, str], played: tuple[Path, set[str]]
) -> None:
    mirror = Mirror(env["SYNCER_DATABASE_URL"])
    first = {row["transition"]: row["id_instance"] for row in mirror.history()}
    mirror.engine.dispose()

    told = [run_syncer("explain", str(key), env=env).stdout for key in sorted(set(first.values()))]

    assert len(first) > 8
    assert all("Инстанс " in life and "Создан." in life for life in told)
    assert [] == [word for life in told for word in english_in(life, played[1])]


def test_days_are_counted_as_russian_counts_them(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    mirror = Mirror(env["SYNCER_DATABASE_URL"])
    ids = sorted({row["id_instance"] for row in mirror.history()})
    mirror.engine.dispose()
    told = "".join(run_syncer("explain", str(key), env=env).stdout for key in ids[:12])

    for n, word in re.findall(r"(\d+) (день|дня|дней)", told):
        last, teens = int(n) % 10, int(n) % 100 in range(11, 15)
        assert word == ("дней" if teens or last in {0, *range(5, 10)} else "день" if last == 1 else "дня"), n


ANSWERS: dict[str, tuple[Behaviour, str]] = {
    "a wrong token": (fault.respond(400, b"Bad Request", content_type="text/plain"), "проверьте партнёрский токен"),
    "a redirect": (fault.redirect_to("https://elsewhere.invalid/"), "пришло перенаправление (HTTP 30"),
    "HTML": (fault.respond(200, b"<html></html>", content_type="text/html"), "это не JSON, а '<html></html>'"),
    "null": (fault.respond(200, b"null"), "это не список, а null"),
    "half a list": (fault.respond(200, b'[{"idInstance":1'), "это не целый JSON"),
    "nothing": (fault.respond(200, b""), "он пуст; выводов из него syncer не делает"),
    "an empty list": (fault.json_list([]), "ответ пуст, а живых инстансов 2 (1 “client”, 2 “client”); если всё верно: syncer approve 2"),
    "another account's": (fault.json_list([item(77)]), "словно токен от другого аккаунта"),
    "down": (fault.respond(503, headers={"Retry-After": "9999"}), "следующий запуск попробует снова"),
    "as before": (fault.json_list([item(1), paid(2)]), "в списке 2, новых 0"),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "said"), ANSWERS.values(), ids=ANSWERS)
def test_a_run_is_told_in_russian_and_kept_in_english(
    run_syncer: RunSyncer, database_url: str, behaviour: Behaviour, said: str
) -> None:
    env = {**RUSSIAN, "SYNCER_DATABASE_URL": database_url}
    with FaultServer([fault.json_list([item(1), paid(2)]), behaviour]) as server:
        env["SYNCER_API_URL"] = server.url
        run_syncer("sync", env=env)
        done = run_syncer("sync", env=env)
    shown = run_syncer("status", env=env).stdout
    (run,) = json.loads(run_syncer("status", "--json", env=env).stdout)["runs"][1:]

    assert said in done.stdout
    assert [] == english_in(done.stdout + shown, {"elsewhere", "null", "Bad Request"})
    assert not re.search("[а-я]", done.stderr), "logs stay as they are"
    assert not re.search("[а-я]", json.dumps(run, ensure_ascii=False))
    if run["error"]:
        assert said in shown


ERRORS = {
    "sync": "партнёрский токен не задан; задайте SYNCER_PARTNER_TOKEN",
    "status --account dem": "аккаунта 'dem' в базе нет; возможно, вы имели в виду demo?",
    "approve 3": "он не задержан, а",
    "approve 333": "такого запуска нет; задержанные покажет: syncer status",
    "explain 12": "syncer никогда не видел",
    "explain twelve": "'twelve' — не номер инстанса вида 1101000001",
    "bill 2099-01": "2099-01 ещё не начался",
    "history --since tomorow": "не время вида 2026-11-23",
    "status --schedule 15x": "--schedule: '15x' — не длительность вида 90s, 15m, 1h30m или 2d",
    "stauts": "возможно, вы имели в виду 'status'?",
    "history --transition gone": "'gone' не подходит; возможные значения",
    "customers load none.csv": "нет такого файла или папки; исправьте путь",
    "export bi_instance": "представления 'bi_instance' нет; возможно, вы имели в виду bi_instances?",
    "accounts rename nort south": "переименование 'nort': такого аккаунта нет",
    "find": "Не хватает аргумента 'TEXT'.",
}


@pytest.mark.parametrize("command", ERRORS)
def test_a_remedy_is_in_russian(run_syncer: RunSyncer, env: dict[str, str], command: str) -> None:
    done = run_syncer(*command.split(), env={**env, "SYNCER_PARTNER_TOKEN": ""})

    assert done.returncode != 0
    assert ERRORS[command] in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_what_doctor_finds_and_advises_is_in_russian(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    token = {"SYNCER_PARTNER_TOKEN": "gac." + "0" * 46}
    with FaultServer([fault.json_list([item(1), paid(2)])]) as server:
        well = run_syncer("doctor", env={**env, **token, "SYNCER_API_URL": server.url})
    ill = run_syncer("doctor", env={**env, **token, "SYNCER_API_URL": "http://127.0.0.1:1", "SYNCER_SCHEDULLE": "5m"})
    checks = {line.split()[1] for line in (well.stdout + ill.stdout).splitlines() if "->" not in line and line.strip()}
    shown = re.sub(r"(?m)^(ok|warning|error) +[\w.]+: ", "", well.stdout + ill.stdout)

    assert len(checks) > 12 or ill.stderr
    assert "токен принят" in well.stdout
    assert [] == english_in(shown, {"timedatectl"})


def test_the_language_is_that_of_the_flag_the_file_or_the_locale(run_syncer: RunSyncer, tmp_path: Path) -> None:
    """Also of an error in the settings, which comes before they have been read."""
    wrong = ("status", "--schedule", "15x")
    (tmp_path / "ru.toml").write_text('lang = "ru"\n')
    told = {
        "flag": run_syncer(*wrong, "--lang", "ru").stderr,
        "flag with sign": run_syncer(*wrong, "--lang=ru", env={"LANG": "en_US.UTF-8"}).stderr,
        "file": run_syncer(*wrong, "--config", str(tmp_path / "ru.toml")).stderr,
        "locale": run_syncer(*wrong, env={"LANG": "ru_RU.UTF-8"}).stderr,
        "before any command": run_syncer("stauts", env={"LC_ALL": "ru_RU.UTF-8"}).stderr,
    }
    told["help"] = run_syncer("--help", env={"LANG": "ru_RU.UTF-8"}).stdout
    english = run_syncer(*wrong, "--lang", "en", env={"SYNCER_LANG": "ru", "LANG": "ru_RU.UTF-8"}).stderr

    assert [] == [where for where, text in told.items() if not re.search("[а-я]{3}", text)]
    assert not re.search("[а-я]", english)


def test_json_is_the_same_in_every_language(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    """But for what depends on the moment: an age, the seconds since."""
    for command in (
        "history",
        "find такси",
        "bill 2026-11 --by instance",
        "explain 310000418916",
        "diff 2026-11-15 2026-11-22",
    ):
        russian = run_syncer(*command.split(), "--json", env=env).stdout
        english = run_syncer(*command.split(), "--json", env=env | {"SYNCER_LANG": "en"}).stdout

        assert json.loads(english) == json.loads(russian), command
