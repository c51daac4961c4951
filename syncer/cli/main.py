"""The program: its commands in one group, and the last resort for what any of them may raise."""

import errno
import gc
import logging
import os
import signal
import sys
from io import TextIOWrapper
from typing import NoReturn

import click

from syncer import __version__
from syncer.cli.account_commands import accounts, approve
from syncer.cli.command import Group, complain, scrub, spoken
from syncer.cli.customer_commands import customers
from syncer.cli.database_commands import db
from syncer.cli.help_command import help_command
from syncer.cli.mirror_commands import plan, run, sync
from syncer.cli.money_commands import bill, rates
from syncer.cli.questions import diff, explain, export, find, report
from syncer.cli.receiver_commands import receivers
from syncer.cli.state_commands import doctor, history, probe, status, token, verify
from syncer.cli.trial_commands import demo_command, fake_api
from syncer.errors import SyncerError
from syncer.scrub import secrets_of
from syncer.settings.logs import ScrubbedStream
from syncer.terminal.channels import outlast_readers

log = logging.getLogger("syncer")

INTERRUPTED = 130  # as shells say it of a program that SIGINT ended
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from syncer.storage import schema

        click.echo(f"syncer {__version__} (schema {schema.head()})")
        context.exit()


@click.group(
    cls=Group,
    epilog="Database, token and other settings that commands share: syncer help settings",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show syncer's version and its schema's, and exit.",
)  # fmt: skip
def cli() -> None:
    """Mirror a GREEN-API partner's instances into SQL, with a history of every deletion, expiry and renewal."""


for command in (
    sync, plan, run, approve, accounts, status, history, doctor, probe, verify, db,
    find, explain, rates, bill, customers, receivers, diff, export, report, token, fake_api, demo_command, help_command,
):  # fmt: skip
    cli.add_command(command)


def main() -> NoReturn:
    """Run a command and exit with its code; what no command foresaw ends here."""
    try:
        _main()
    except KeyboardInterrupt:  # before the command began, or after it ended
        os._exit(complain("stopped", INTERRUPTED))


def _main() -> NoReturn:
    start_lightly()
    spoken.guess(os.environ, sys.argv[1:])
    _open_missing_channels()
    outlast_readers()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that this locale cannot show is no reason to end
    _scrub_errors()
    try:
        code = _run()
        sys.stdout.flush()  # here an error of writing can still be told
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            code = _report_defect(error)
        else:
            # Whatever is left in the buffer cannot be written either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = complain(f"writing the result: {error.strerror}; free some room, or write elsewhere", 2)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect, shown with its traceback but no secret
        code = _report_defect(error)
    try:
        sys.stderr.flush()
    except OSError:  # a log that is lost costs no run; the interpreter must not fail by it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    if signal.getsignal(signal.SIGINT) not in {signal.SIG_IGN, None}:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing left to stop
    gc.freeze()  # the interpreter's last look for garbage would walk all that was imported: 0.07 s of 0.45
    sys.exit(code if isinstance(code, int) else 0)


def listen_to_interrupts() -> None:
    """Tell the first Ctrl-C as `stopped`; let a second one, or one that Python would only report, just end it."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def report(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):  # it came while an object was let go
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        sys.__unraisablehook__(unraisable)

    sys.unraisablehook = report
    signal.signal(signal.SIGINT, interrupt)


def start_lightly() -> None:
    """Spare the process what it has no use for; measured as CPU seconds of Python 3.11."""
    # Rows come by the thousand and stay. A first sync of 100,000 spends 1.1 s of 9 on looking for garbage that is not
    # there with Python's own 700, and still a tenth of its time with 5,000.
    gc.set_threshold(50_000)
    # `import httpx` brings its own command line, and with it rich and pygments: 0.08 s of 0.21, at every run by cron.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None says: not to be imported


def _scrub_errors() -> None:
    """Let no secret out by standard error, not even one that was given where something else belongs."""
    scrub.learn(*secrets_of(os.environ))
    for argument in sys.argv[1:]:
        flag, _, value = argument.partition("=")
        scrub.learn_misplaced(argument, flag, value, flag.lstrip("-"))
    sys.stderr = ScrubbedStream(sys.stderr, scrub)


def _open_missing_channels() -> None:
    """Let standard channels that are closed lead nowhere.

    The next file that is opened would get the number of a missing one, and log lines would go into the database.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _run() -> object:
    """The command's exit code; an error that a user can meet is one line on standard error."""
    try:
        return cli.main(prog_name="syncer", standalone_mode=False)
    except SyncerError as error:
        return complain(str(error), error.exit_code)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        hint = f" (see: {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return complain(error.format_message() + hint, 2)
    except (click.Abort, KeyboardInterrupt):
        return complain("stopped", INTERRUPTED)


def _report_defect(error: Exception) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    return complain(f"{text}this is a defect in syncer, please report it", 1)
