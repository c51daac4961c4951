"""Every figure of the views over random estates, told late, interrupted and corrected, against the model of the tests.

    python tests/proof/figures.py --count 20000 --seed 1

An estate is a few instances of two accounts; where they are kept, `beside_model` says.
"""

from beside_model import compare
from budget import Budget
from figures_checks import differences


def main() -> None:
    compare(Budget("figures", full=20_000), differences, lambda model: {"instances": len(model.lives)})


if __name__ == "__main__":
    main()
