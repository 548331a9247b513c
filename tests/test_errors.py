"""An error names its setting relative to the object that refuses it; what contains the object adds its place."""

import errno
import pickle

import pytest

from svl.data import Subset
from svl.errors import SettingError, StorageError, within
from svl.interventions import LabelNoise
from svl.tasks import Parity


@pytest.mark.parametrize(("key", "full"), [("rate", "data.interventions.noise.rate"), ("", "data.interventions.noise")])
def test_what_contains_an_object_adds_its_place(key, full):
    with pytest.raises(SettingError) as error, within("data"), within("interventions.noise"):
        raise SettingError(key, 2, "at most 1")
    assert (error.value.key, error.value.given, error.value.allowed) == (full, 2, "at most 1")
    assert str(error.value) == f"{full}: got 2; allowed: at most 1"


def test_other_errors_and_success_pass():
    with within("data"):
        pass
    with pytest.raises(ValueError, match=r"^wrong$"), within("data"):
        raise ValueError("wrong")


def test_an_object_itself_can_be_refused():
    assert str(SettingError("", "Alpha", "two layers")) == "got 'Alpha'; allowed: two layers"


def test_in_python_an_error_names_the_argument():
    with pytest.raises(SettingError, match=r"^size: got -1; allowed: 1 to 1048576"):
        Subset(Parity(20, 6), size=-1)
    with pytest.raises(SettingError, match=r"^rate: got 2; allowed: a number, at least 0 and at most 1$"):
        LabelNoise(2)


def test_an_error_can_be_sent_to_another_process():
    error = pickle.loads(pickle.dumps(SettingError("size", -1, "more")))
    assert (error.key, error.given, error.allowed) == ("size", -1, "more")


@pytest.mark.parametrize("files", [(), ("last.ckpt",), ("/tmp/other", None, "last.ckpt")])
def test_an_error_of_a_disk_names_the_file_that_is_written(files):
    error = OSError(errno.ENOSPC, "No space left on device", *files)
    assert str(StorageError("last.ckpt", error, "resume")) == "last.ckpt: No space left on device; resume"
