"""The command line: one module for each subcommand, and what they share.

=================  ==========================================================================
``entry``          :func:`main`: finds the subcommand and turns errors into one line
``fit``            ``svl fit``, ``validate`` and ``test``: run one, or only resolve its config
``session``        the LightningCLI behind them: settings in, a trained stack out
``resuming``       what may change when a fit is resumed
``trainer``        the Lightning trainer that a session runs
``ending``         what is printed and written when a fit ends
``streams``        standard output and standard error: odd terminals, readers that have gone
``settings``       settings of a fit as a whole: the trainer's options and the target
``checks``         checks of a whole experiment before any file is written
``arguments``      the command line before jsonargparse parses it: configs read, varied settings merged
``options``        words as options and their values
``network_setting`` the options that name the network and its settings
``setting_parser`` the parser of a fit's settings
``parse_errors``   jsonargparse's errors in one line
``allowed``        what a type allows, in words; svl's own classes by their short names
``hints``          what to use in place of Lightning's settings
``imports``        why a class cannot be imported
``own_code``       tracebacks of the user's own code
``json_schema``    a JSON schema of a config, from the parser
``completion``     the script with which a shell completes a command
=================  ==========================================================================

The other modules are named after their subcommand. Each parses its words, with the one ``parser`` that they share; the
work is done in a package of its own.
"""

from svl.cli.entry import main

__all__ = ["main"]
