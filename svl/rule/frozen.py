"""The numbers of the rule, which were fitted and committed before the rule was tested."""

from svl.rule.rule import Rule

RULE = Rule(threshold=0.0, scale=9.0, power=0.0, epochs=8)
