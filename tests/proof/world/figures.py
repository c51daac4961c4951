"""What the figures of a world must be: every accepted answer goes to the figures' model, as far as it counts."""

import copy
from datetime import date, datetime
from typing import Any

from contract_items import ReadAnswer, an_id
from contract_model import ContractModel
from customers_model import Assigned, CustomersModel
from figures_checks import expectations, unmet
from figures_model import FiguresModel, Sight, local
from sqlalchemy import Connection

Owners = dict[int, str]


class Figures:
    """Takes accepted answers beside the contract's model, which says whose each instance is."""

    def __init__(self, *, are_asked: bool) -> None:
        self._are_asked = are_asked  # else only what the operator entered is kept
        self.model = FiguresModel()
        self.sold: dict[tuple[int, date], Assigned] = {}  # customers, by instance and day

    def copy(self) -> "Figures":
        made = Figures(are_asked=self._are_asked)
        made.model, made.sold = copy.deepcopy(self.model), dict(self.sold)
        return made

    def take(self, account: str, items: list[Any], owned_before: Owners, contract: ContractModel) -> None:
        """An answer that was accepted: what it shows of what is the account's, and what it says by leaving out."""
        if not self._are_asked:
            return
        moment = local(contract.accepted[account])
        before = self.model.last_answers.get(account, moment)
        self.model.last_answers[account] = moment
        answer = ReadAnswer(items)
        shown = {an_id(item): item for item in items if an_id(item) in answer.good}
        for key, row in contract.rows.items():
            owner = row["account"]
            if key in shown and owner == account:
                self.model.lives[key].sights.append(Sight(moment, account, shown[key]))
            elif key not in answer.seen and answer.proves_absence and owned_before.get(key) == account:
                last = self.model.lives[key].sights[-1]
                if owner != account:
                    item = next(
                        sight.item for sight in reversed(self.model.lives[key].sights) if sight.item is not None
                    )
                    self.model.lives[key].sights.append(Sight(moment, owner, item))
                elif last.item is not None:
                    self.model.lives[key].sights.append(Sight(moment, account, None))
                    self.model.last_seen[key] = before

    def rename(self, old: str, new: str, contract: ContractModel) -> None:
        """Everything of an account bears another name."""
        if not self._are_asked:
            return
        for life in self.model.lives.values():
            life.sights = [sight._replace(account=new) if sight.account == old else sight for sight in life.sights]
        if self.model.last_answers.pop(old, None) is not None:
            self.model.last_answers[new] = local(contract.accepted[new])

    def differences(self, connection: Connection, now: datetime) -> list[str]:
        """Every figure that is not the model's."""
        model = copy.deepcopy(self.model)
        model.close(local(now).date())
        model.customers = CustomersModel(model, list(self.sold.values()))
        return [line for one in expectations(model, now) for line in unmet(connection, one)]
