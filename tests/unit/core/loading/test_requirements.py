"""Whether what a plugin stands on is there, in a version that its metadata ask for."""

from __future__ import annotations

import itertools
import sys

import pytest
from installed import pretend
from packaging.specifiers import SpecifierSet
from spawnery.errors import PluginError
from spawnery.toolkit import check_requirements

OURS = "spawnery-shellhost"
RANGES = (">=7.1,<8", ">=35,<38,!=36.0.0,!=36.0.1", ">2", "<=2.5", "==3", "!=7.1")
NUMBERS = ("0", "0.9", "2", "2.5", "2.5.1", "3.0", "7", "7.1", "7.1.0", "7.1.1", "8", "8.0.0")
NUMBERS += ("34.9", "35.0.0", "36.0.0", "36.0.1", "36.0.2", "37.9", "38.0.0", "2026.11")


def check(monkeypatch, folder, *requires, found=None):
    """Check the package ``shell`` under a distribution with these requirements."""
    pretend(monkeypatch, folder, OURS, "1.2", *requires)
    if found is not None:
        pretend(monkeypatch, folder, "shell", found)
    return check_requirements(OURS, "shell")


def test_both_versions_are_told(monkeypatch, tmp_path):
    """What `check` prints: ours and that of the package, which is not imported."""
    told = check(monkeypatch, tmp_path, "attrs>=24.2", "shell>=1,<2", found="1.5")
    assert told == "spawnery-shellhost 1.2 with shell 1.5"
    assert "shell" not in sys.modules


@pytest.mark.parametrize("requirement", ["shell<2,>=1", "shell (<2,>=1)", "shell[extra] < 2, >= 1"])
def test_another_version(monkeypatch, tmp_path, requirement):
    """It is refused with its version, the wanted ones, and the command that brings one."""
    with pytest.raises(PluginError) as caught:
        check(monkeypatch, tmp_path, requirement, found="2.0")
    wanted = "the package shell 2.0 is installed; spawnery-shellhost 1.2 needs >=1,<2"
    assert caught.value.message == wanted
    assert caught.value.hint == f"{sys.executable} -m pip install 'shell>=1,<2'"


def test_none(monkeypatch, tmp_path):
    """A missing package is said in words, with the same command."""
    with pytest.raises(PluginError, match="the package shell, which is not installed") as caught:
        check(monkeypatch, tmp_path, "shell>=1,<2")
    assert caught.value.hint == f"{sys.executable} -m pip install 'shell>=1,<2'"


def test_an_extra_is_no_requirement(monkeypatch, tmp_path):
    """What the distribution needs for an extra says nothing about what it always needs."""
    lines = ("shell>=1,<2", 'shell>=5; extra == "more"')
    assert check(monkeypatch, tmp_path, *lines, found="1.5").endswith("shell 1.5")


def test_metadata_of_another_version(monkeypatch, tmp_path):
    """An editable install keeps its metadata until it is installed again: that is said."""
    with pytest.raises(PluginError, match=r"1\.2 do not name shell: they are older") as caught:
        check(monkeypatch, tmp_path, "attrs>=24.2", found="1.5")
    assert "install the distribution again" in caught.value.hint


@pytest.mark.parametrize("found", ["v1.5", "unknown"])
def test_no_version(monkeypatch, tmp_path, found):
    """What is no version fits nowhere."""
    with pytest.raises(PluginError, match=f"the package shell {found} is installed"):
        check(monkeypatch, tmp_path, "shell>=1", found=found)


@pytest.mark.parametrize(
    ("found", "fits"), [("1.5.post1", True), ("1.5+local", True), ("1.9rc1", True), ("2rc1", False)]
)
def test_more_than_numbers(monkeypatch, tmp_path, found, fits):
    """A build or pre-release counts as its release: 2rc1 is not below 2."""
    if fits:
        assert check(monkeypatch, tmp_path, "shell>=1,<2", found=found).endswith(found)
    else:
        with pytest.raises(PluginError):
            check(monkeypatch, tmp_path, "shell>=1,<2", found=found)


@pytest.mark.parametrize("wanted", ["~=1.2", "==1.*", "===1.2"])
def test_another_way_to_say_it(monkeypatch, tmp_path, wanted):
    """A range that is not understood is no range that is ignored."""
    with pytest.raises(ValueError, match="not as"):
        check(monkeypatch, tmp_path, f"shell{wanted}", found="1.2")


def test_ranges_mean_what_pip_means(monkeypatch, tmp_path):
    """Every number in every range, compared with the package that pip uses."""
    for count, (wanted, found) in enumerate(itertools.product(RANGES, NUMBERS)):
        folder = tmp_path / str(count)
        folder.mkdir()
        try:
            check(monkeypatch, folder, f"shell{wanted}", found=found)
            taken = True
        except PluginError:
            taken = False
        assert taken == SpecifierSet(wanted).contains(found), (wanted, found)
