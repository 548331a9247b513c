"""What svl expects of jsonargparse: its parsers' settings, and the wording of its errors."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from svl.compat import jsonargparse


class Made:
    def __init__(self, first: int, vocabulary: int, size: int = 1):
        self.all = first, vocabulary, size


class Defaulted(Made):
    def __init__(self, first: int, vocabulary: int = 5, size: int = 1):
        super().__init__(first, vocabulary, size)


@dataclass
class Group:
    params: str
    lr: float | None = None


class Base:
    def __init__(self, size: int = 1):
        self.size = size


class Child(Base):
    pass


@dataclass
class Settings:
    steps: int = 5
    groups: dict[str, Group] | None = None


@pytest.fixture
def parser():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Settings, "trainer")
    parser.add_subclass_arguments(Base, "data")
    parser.add_argument("--build", type=Callable[[int], Base], default=None)
    return parser


@pytest.fixture
def messages(parser):
    """The texts of the error that words or a config cause, outermost first."""

    def collect(*words, parser=parser, config=None):
        with pytest.raises(ArgumentError) as raised:
            parser.parse_args(list(words)) if config is None else parser.parse_object(config)
        error, texts = raised.value, []
        while error is not None:
            texts.append(str(error))
            error = error.__cause__ or error.__context__
        return texts

    return collect


def first(pattern, texts, find=re.search):
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    groups = [match[1] for one in patterns for text in texts if (match := find(one, text))]
    assert groups, texts
    return groups[0]


def test_the_names_of_settings(parser):
    names = jsonargparse.setting_names(parser)
    assert {"help", "trainer.steps", "trainer.groups", "data", "build"} <= set(names)


def test_the_type_of_a_setting(parser):
    assert jsonargparse.type_of(parser, "trainer.steps") is int
    assert jsonargparse.type_of(parser, "data.trainer.steps") is int
    assert Base in get_args(jsonargparse.type_of(parser, "data"))
    assert jsonargparse.type_of(parser, "nothing") is None
    assert jsonargparse.type_of(parser, "help") is None


def test_the_parser_of_a_subcommand(parser):
    main = ArgumentParser()
    main.add_subcommands().add_subcommand("fit", parser)
    assert jsonargparse.subcommand_parser(main, "fit") is parser


# Lightning calls it too.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_class_is_inside_the_function_that_builds_it(parser):
    config = parser.parse_args(["--data", "Child", "--build", "Child"])
    build = parser.instantiate_classes(config).build
    assert isinstance(build(3), Child)
    assert jsonargparse.made_by(build) is Child
    assert jsonargparse.made_by(Child) is Child


def make_child(size: int, scale: int = 1) -> Base:
    return Child(size * scale)


def make_something(size, scale=1):
    return Child(size * scale)


def make_number(size: int, scale: int = 1) -> int:
    return size


def named(choose=lambda kind, name: None, preferred=(), starts_anew=lambda made: False):
    return jsonargparse.naming(choose, preferred, starts_anew)


def test_a_class_can_take_no_settings_from_what_it_replaces(parser):
    words = ["--data", "Base", "--data.size", "5", "--data", "Child"]
    assert parser.parse_args(words).data.init_args.size == 5
    with named(starts_anew=lambda made: made is Child):
        assert parser.parse_args(words).data.init_args.size == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["make_child", "make_something"])
def test_a_function_has_settings_as_a_class_has(parser, name):
    path = f"{__name__}.{name}"
    with named():
        config = parser.parse_object({"data": "Child", "build": {"class_path": path, "init_args": {"scale": 3}}})
        build = parser.instantiate_classes(config).build
    assert jsonargparse.made_by(build).__name__ == name
    assert build(2).size == 6


def test_a_function_that_returns_something_else_is_refused(parser):
    with (
        named(),
        pytest.raises(ArgumentError, match="to be a function that returns Base"),
    ):
        parser.parse_object({"data": "Child", "build": {"class_path": f"{__name__}.make_number"}})


class Rival(Base):
    pass


class Outer:
    class Rival(Base):
        pass


def test_svl_chooses_among_classes_of_one_name(parser, messages):
    texts = messages("--data", "Rival")
    assert first(jsonargparse.AMBIGUOUS, texts) == "Rival"
    with named(lambda kind, name: f"{__name__}.Base" if name == "Rival" else None):
        assert parser.parse_args(["--data", "Rival"]).data.class_path == f"{__name__}.Base"
    with named(preferred=(f"{__name__}.Outer",)):
        assert parser.parse_args(["--data", "Rival"]).data.class_path == f"{__name__}.Outer.Rival"


def test_the_message_about_a_setting_that_does_not_exist(messages):
    assert first(jsonargparse.UNKNOWN_SETTING, messages("--data", "Child", "--trainer.stepz=1")) == "trainer.stepz"
    texts = messages("--data", "Child", "--data.sizes", "1")
    assert first(jsonargparse.UNKNOWN_SETTING, texts).endswith("sizes")


def test_the_message_about_a_class_that_does_not_exist(messages):
    assert first(jsonargparse.UNKNOWN_CLASS, messages("--data", "Childd")) == "Childd"
    assert first(jsonargparse.UNKNOWN_CLASS, messages("--data", "Child", "--build", "Childd")) == "Childd"


def test_the_message_about_a_setting_that_is_missing(messages, parser):
    parser.add_argument("--needed", type=int, required=True)
    assert first(jsonargparse.MISSING_SETTING, messages("--data", "Child")) == "needed"


def test_the_message_about_a_value_that_is_missing(messages):
    assert first(jsonargparse.MISSING_VALUE, messages("--data", "Child", "--trainer.steps")) == "trainer.steps"


def test_the_message_about_a_value_of_the_wrong_type(messages):
    texts = messages("--data", "Child", "--trainer.steps", "many")
    assert first(jsonargparse.KEY, texts, re.match) == "trainer.steps"
    assert first(jsonargparse.VALUE, texts) == "many"


def test_the_message_about_one_part_of_a_setting(messages):
    value = first(jsonargparse.VALUE, messages("--data", "Child", "--trainer.groups.a.lr", "1"))
    assert re.match(jsonargparse.NESTED_VALUE, value)


def test_the_message_about_a_subcommand(messages, parser):
    main = ArgumentParser(exit_on_error=False)
    parser.add_argument("--needed", type=int, required=True)
    main.add_subcommands().add_subcommand("fit", parser)
    texts = messages("fit", "--data", "Child", parser=main)
    assert first(jsonargparse.SUBCOMMAND, texts, re.match) == "fit"
    texts = messages(parser=main, config={"subcommand": "fit", "fit": {"needed": 1, "nothing": 2}})
    assert first(jsonargparse.SUBCOMMAND, texts, re.match) == "fit"
    assert first(jsonargparse.UNKNOWN_SETTING, texts) == "nothing"


def test_the_help_page_lists_subclasses():
    parser = LightningArgumentParser()
    parser.add_argument("--callback", type=Callback | None)
    page = parser.format_help()
    assert "lightning.pytorch.callbacks" in page
    assert "lightning.pytorch.callbacks.E" not in re.sub(jsonargparse.LISTED_SUBCLASSES, ")", page)


@pytest.mark.parametrize(("kind", "settings"), [(Made, {"size": 2}), (Defaulted, {"size": 2, "vocabulary": 5})])
def test_an_argument_that_is_supplied_needs_no_value_and_a_default_stays_a_setting(kind, settings):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--make", type=Callable[[int], Made])
    name = f"{__name__}.{kind.__name__}"
    with jsonargparse.supplied("vocabulary"):
        config = parser.parse_args([f"--make={name}", "--make.size=2"])
        assert vars(config.make.init_args) == settings
        assert parser.instantiate_classes(config).make(1, vocabulary=7).all == (1, 7, 2)
    if kind is Made:
        with pytest.raises(ArgumentError, match="vocabulary"):
            parser.parse_args([f"--make={name}", "--make.size=2"])


def test_of_several_types_the_first_one_s_error_is_the_cause():
    def made(kind, /, **arguments):
        raise ValueError("no such size")

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=Base | list[Base] | None)
    part = {"class_path": f"{__name__}.Child"}
    for value, is_kept in ((part, True), ([part], False)):
        config = parser.parse_object({"part": value})
        with pytest.raises(ValueError, match=jsonargparse.NO_TYPE_FITS) as raised:
            parser.instantiate(config, instantiators=[(made, object, True)])
        assert ("no such size" in str(raised.value.__cause__)) == is_kept
