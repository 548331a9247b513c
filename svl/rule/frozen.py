"""The numbers of the rules by round, which were fitted and committed before the rules were tested."""

from svl.rule.rule import Rule

RULES = {
    1: Rule(threshold=4.9245, scale=8.5, power=0.0, epochs=8),
    2: Rule(threshold=0.1015, scale=8.5, power=0.0, epochs=8, feature="growth"),
}
