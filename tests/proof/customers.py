"""Whose is it: random estates with random customers, whose days, costs and leaks are the model's and whose sums the bill's.

    python tests/proof/customers.py --count 10000 --seed 1

An estate is a few instances of two accounts; where they are kept, `beside_model` says. Assignments overlap, lie
within one another, have gaps, lie ahead, and name instances that nobody lists.
"""

from beside_model import compare
from budget import Budget
from customers_checks import customer_differences
from figures_model import FiguresModel


def counts(model: FiguresModel) -> dict[str, int]:
    """What the estates had of what is to be proved."""
    return {
        "instances": len(model.lives),
        "assignments": sum(map(len, model.customers.rows.values())),
        "returns": sum(map(model.customers.returns, model.customers.rows)),
        "leaks": len(model.customers.leaks()),
    }


def main() -> None:
    compare(Budget("customers", full=10_000), customer_differences, counts)


if __name__ == "__main__":
    main()
