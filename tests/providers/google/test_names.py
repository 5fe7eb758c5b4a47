"""Names of Secret Manager: what is legal on the wire, and that two of them never meet."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.providers.google.names import Names, version_word
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.references import fault_of

LEGAL = re.compile(
    r"projects/[a-z0-9.:-]+(/locations/[a-z0-9-]+)?/secrets/[A-Za-z0-9_-]{1,255}(/versions/[A-Za-z0-9_-]{1,63})?"
)
OURS = Names("our-project", "")
REGIONAL = Names("our-project", "europe-west3")
parts = st.sampled_from(
    ["projects", "our-project", "123", "secrets", "locations", "l", "versions", "a", "x2F", "-", ""]
)
resources = st.lists(parts, min_size=1, max_size=8).map("/".join)
names = st.text("a-x2F/é", max_size=10) | st.text(max_size=20) | resources


def resource(name, names=OURS):
    return names.target(name).resource


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("KEY_1", "projects/our-project/secrets/KEY_1"),
        ("litellm/a", "projects/our-project/secrets/litellm-x2F-a"),
        ("projects/other/secrets/a-x2F-b", "projects/other/secrets/a-x2F-b"),
        ("projects/example.com:old/secrets/a", "projects/example.com:old/secrets/a"),
        ("projects/123/locations/europe-west3/secrets/a", "projects/123/locations/europe-west3/secrets/a"),
    ],
)
def test_where_a_name_leads(name, found):
    """A plain name is spelled in Google's characters; a resource name is taken as it is."""
    assert resource(name) == found


def test_plain_names_are_of_the_location():
    """A source of a location has its secrets there, and reaches global ones by resource name."""
    assert resource("a", REGIONAL) == "projects/our-project/locations/europe-west3/secrets/a"
    assert resource("projects/our-project/secrets/a", REGIONAL) == "projects/our-project/secrets/a"


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a\n", "a\ud800", "x" * 256, "é" * 64, "projects/", "projects/p", "projects/p/secrets/"),
        *("projects/p/secrets/a/b", "projects/p/secrets/a b", "projects/p//secrets/a", "projects/P/secrets/a"),
        *("projects/../secrets/a", "projects/p/secrets/a/versions/", "projects/p/secrets/" + "a" * 256, "projects/p/a"),
        *("projects/p/locations/secrets/a", "projects/p/locations/../secrets/a", "projects/p/secrets/é"),
    ],
)
def test_what_names_no_secret_is_refused(name):
    """Before anything is sent, by a message that says what would do."""
    with pytest.raises(InvalidNameError) as caught:
        OURS.target(name)
    assert (caught.value.name, caught.value.provider) == (name, "google_secret_manager")


def test_a_version_in_a_resource_name_is_refused_with_what_to_write():
    """It is a version of a secret, and these are asked for by ``version=``."""
    with pytest.raises(InvalidNameError, match="a version is asked for by itself, version='7'"):
        OURS.target("projects/p/secrets/a/versions/7")


@pytest.mark.parametrize(
    ("project", "location"), [("a b", ""), ("p/secrets/x", ""), ("p", "../x"), ("Big", ""), ("", "/")]
)
def test_projects_and_locations_that_cannot_be(project, location):
    """They would be a part of every name."""
    with pytest.raises(ConfigError, match=r"is a (project's id|location), such as .*, not "):
        GoogleSettings(project=project, location=location)


@given(names, names)
@example("a/", "a-x2F-")
@example("projects/our-project/secrets/a-x2F-b", "a/b")
@example("projects/our-project/secrets/a", "a")
def test_two_names_never_meet(name, other):
    """But for a secret's plain name and its resource name, which are known to be one."""
    assume(name != other)
    try:
        found, its = resource(name), resource(other)
    except InvalidNameError:
        return
    if found == its:
        assert OURS.may_be_same(name, other)
        assert sum(each.startswith("projects/") for each in (name, other)) == 1


@given(names, st.text(max_size=5) | st.just("latest"))
def test_what_is_sent_is_legal(name, version):
    """Whatever is asked for, and only our own error is raised."""
    word = version_word(version)
    try:
        target = REGIONAL.target(name)
    except InvalidNameError:
        return
    assert LEGAL.fullmatch(target.resource)
    assert word is None or LEGAL.fullmatch(target.version(word))


@given(st.text("a-x2F41/", min_size=1, max_size=12) | st.text("AB_-x", min_size=1, max_size=12))
@example("projects-x2F-p-x2F-secrets-x2F-a")
@example("a-x0A-")
@example("a-x41-")
def test_what_is_listed_leads_back(found):
    """Each id is listed by a name under which it is read, and no two by one."""
    assume(re.fullmatch(r"[A-Za-z0-9_-]+", found))
    name = OURS.listed("our-project", found)
    assert not fault_of(name)
    assert resource(name) == f"projects/our-project/secrets/{found}"


@given(names, names)
@example("proj", "ects/our-project/secrets/a-x41-")
def test_a_filter_leaves_in_what_has_the_prefix(prefix, rest):
    """Google finds a part of an id."""
    try:
        place = OURS.target(prefix + rest)
    except InvalidNameError:
        return
    wanted = OURS.filter(prefix)
    assert wanted == "" or wanted.removeprefix('name:"').removesuffix('"') in place.id
    assert re.fullmatch(r'|name:"[A-Za-z0-9_-]+"', wanted)


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("a/b", "projects/our-project/secrets/a-x2F-b", True),
        ("a", "projects/123/secrets/a", True),
        ("projects/our-project/secrets/a", "projects/123/secrets/a", True),
        ("a", "projects/other/secrets/a", False),
        ("projects/other/secrets/a", "projects/our-project/secrets/a", False),
        ("projects/123/secrets/a", "projects/124/secrets/a", True),
        ("a", "projects/our-project/locations/l/secrets/a", False),
        ("a", "b", False),
        ("a", "a", True),
        ("projects/nonsense", "projects/nonsense/", False),
    ],
)
def test_which_names_may_be_one_secret(name, other, same):
    """A number may be that of our project, so each may; two ids are two projects."""
    assert OURS.may_be_same(name, other) is same
    assert OURS.may_be_same(other, name) is same


def test_secrets_of_two_projects_have_no_spelling_in_common():
    """What is known of one says nothing of the other."""
    assert not OURS.spellings("a") & OURS.spellings("projects/other/secrets/a")


def test_ids_that_no_plain_name_leads_to_have_spellings_of_their_own():
    """By the project's id and by its number it is one secret, and another id is another one."""
    ours, other = "projects/our-project/secrets/a-x41-", "projects/our-project/secrets/b-x41-"
    assert OURS.spellings(ours) & OURS.spellings("projects/123/secrets/a-x41-")
    assert not OURS.spellings(ours) & OURS.spellings(other)


@pytest.mark.parametrize(
    ("version", "word"), [(None, "latest"), ("12", "12"), ("stable-1", "stable-1"), ("latest", "latest")]
)
def test_versions(version, word):
    """The last one, a number, an alias."""
    assert version_word(version) == word


@pytest.mark.parametrize(
    "version", ["", "0", "01", "-1", "1.0", "a b", "a/b", "x" * 64, "1" * 20, "é", "1a", "_a", "²"]
)
def test_what_no_version_is_called(version):
    """Nothing is sent for it."""
    assert version_word(version) is None
