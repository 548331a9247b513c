"""The numbers of the rule, which were fitted and committed before the rule was tested."""

from svl.rule.rule import Rule

RULE = Rule(threshold=4.9245, scale=8.5, power=0.0, epochs=8)
