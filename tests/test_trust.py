"""Files that nobody named: obeyed only if nobody else could have written them, and given only what is due to them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncsecrets.config import Config, load_config
from asyncsecrets.errors import ConfigError, MalformedResponseError
from asyncsecrets.kinds import Kind
from asyncsecrets.providers.environment import FOUND_DOTENV, EnvironmentProvider
from asyncsecrets.providers.local import LocalProvider, generate_key, init_store, write_key_file
from asyncsecrets.settings import SENT_FILES, SYSTEMS, variables, vocabulary
from asyncsecrets.trust import check_found

ME, OTHER = 4711, 4712
REMEDY = "or name it"


class Disk:
    """Files as they are, but for the owner and mode that are said: root's and not writable, where nothing is."""

    def __init__(self) -> None:
        self.owners: dict[Path, int] = {}
        self.groups: dict[Path, int] = {}
        self.modes: dict[Path, int] = {}
        self.looked_at: list[Path] = []

    def lstat(self, path: Path) -> os.stat_result:
        found = os.lstat(path)
        self.looked_at.append(path)
        mode = stat.S_IFMT(found.st_mode) | self.modes.get(path, 0o755)
        owner, group = self.owners.get(path, 0), self.groups.get(path, 4242)
        return os.stat_result((mode, *found[1:4], owner, group, *found[6:10]))

    def refuses(self, path: str | Path, uid: int = ME) -> str:
        """Why ``path`` is refused; nothing if it is not."""
        message = ""
        try:
            check_found(path, REMEDY, uid=uid, lstat=self.lstat)
        except ConfigError as error:
            message = str(error)
        assert not message or (message.startswith(f"{path}: ") and message.endswith(REMEDY) and "\n" not in message)
        return message


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in a folder, with a file, and no link on the way."""
    folder = tmp_path.resolve() / "up" / "here"
    folder.mkdir(parents=True)
    (folder / "file").write_text("canary")
    return folder


# Owner and mode


@pytest.mark.parametrize("uid", [ME, 0])
@pytest.mark.parametrize("where", ["file", ".", "..", "../.."])
def test_only_mine_and_roots(folder: Path, disk: Disk, where: str, uid: int):
    """The file and each folder up to it belongs to this user or to root, also where this user is root."""
    file, place = folder / "file", Path(os.path.normpath(folder / where))
    for owner in (0, uid):
        disk.owners[place] = owner
        assert disk.refuses(file, uid) == ""
    disk.owners[place] = OTHER
    message = disk.refuses(file, uid)
    assert f"{place} belongs to uid {OTHER}" in message
    assert ("run this as that user" if uid == 0 else f"chown {uid} {place}") in message


@pytest.mark.parametrize("where", ["file", ".", "..", "../.."])
@pytest.mark.parametrize(("mode", "whom"), [(0o666, "everybody"), (0o777, "everybody"), (0o664, "the group gid 4242")])
def test_nothing_on_the_way_can_be_written_by_others(folder: Path, disk: Disk, where: str, mode: int, whom: str):
    """Who can write a folder can replace what is in it."""
    place = Path(os.path.normpath(folder / where))
    disk.modes[place] = mode
    message = disk.refuses(folder / "file")
    assert f"{place} of " in message
    assert f"can be written by {whom}" in message
    assert f"-w {place}" in message


def test_a_sticky_folder_like_tmp(folder: Path, disk: Disk):
    """In it everybody replaces what is his own; a file that is ours stays ours, and another's is another's."""
    disk.modes[folder] = disk.modes[folder.parent] = 0o1777
    assert disk.refuses(folder / "file") == ""
    disk.owners[folder / "file"] = OTHER
    assert str(OTHER) in disk.refuses(folder / "file")
    disk.owners = {folder: OTHER}  # the owner of the folder may remove everybody's
    assert str(OTHER) in disk.refuses(folder / "file")


def test_a_sticky_file_is_as_good_as_any(folder: Path, disk: Disk):
    """What the bit says of a folder it does not say of a file."""
    disk.modes[folder / "file"] = 0o1666
    assert "can be written by everybody" in disk.refuses(folder / "file")


def test_the_owner_has_a_name(folder: Path, disk: Disk):
    """People are better known by name."""
    disk.owners[folder / "file"] = pwd.getpwall()[-1].pw_uid or OTHER
    name = pwd.getpwuid(disk.owners[folder / "file"]).pw_name
    assert f"{name} (uid {disk.owners[folder / 'file']})" in disk.refuses(folder / "file")


def test_the_group_of_one(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    """With umask 002 everything is writable by the group of the user, in which nobody else is."""
    members: list[str] = []
    user = pwd.struct_passwd(("me", "x", ME, 4242, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", {ME: user, 0: user}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("me", "x", gid, members)))
    disk.modes = {folder: 0o775, folder / "file": 0o664}
    assert disk.refuses(folder / "file") == ""
    disk.groups[folder / "file"] = 100  # has the same name here, and is not the user's first
    assert "group" in disk.refuses(folder / "file")
    disk.groups.clear()
    members += ["me", "mallory"]
    assert "group" in disk.refuses(folder / "file")
    members.remove("mallory")
    assert disk.refuses(folder / "file") == ""
    monkeypatch.setattr(os, "listxattr", lambda _: ["system.posix_acl_access"], raising=False)
    assert "group" in disk.refuses(folder / "file")  # whose bits then stand for everybody in the list
    monkeypatch.delattr(os, "listxattr")
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("users", "x", gid, [])))
    assert "group" in disk.refuses(folder / "file")


# Links


@pytest.mark.parametrize("relative", [False, True])
def test_a_link_is_judged_at_both_ends(folder: Path, disk: Disk, relative: bool):
    """The link, the folders up to it, what it leads to, and the folders up to that."""
    there = folder.parent / "there" / "deep"
    there.mkdir(parents=True)
    (there / "target").write_text("canary")
    link = folder / "link"
    link.symlink_to(Path("../there/../there/deep/target") if relative else there / "target")
    assert disk.refuses(link) == ""
    assert {link, there / "target", there, there.parent, folder} <= set(disk.looked_at)
    for place in (link, there / "target", there, there.parent, folder):
        disk.owners = {place: OTHER}
        assert f"{place} belongs to" in disk.refuses(link)
    disk.owners = {}
    for place in (there / "target", there, there.parent, folder):
        disk.modes = {place: 0o777}
        assert f"{place} of " in disk.refuses(link)
    disk.modes = {link: 0o777}  # which every link has
    assert disk.refuses(link) == ""


def test_a_folder_on_the_way_is_a_link(folder: Path, disk: Disk):
    """And that link leads over another, in a folder that anybody can write."""
    open_to_all = folder.parent / "open"
    open_to_all.mkdir()
    (open_to_all / "second").symlink_to(folder)
    (folder.parent / "first").symlink_to("open/second", target_is_directory=True)
    path = folder.parent / "first" / "file"
    assert disk.refuses(path) == ""
    disk.modes[open_to_all] = 0o777
    assert f"{open_to_all} of " in disk.refuses(path)


def test_a_chain_of_links(folder: Path, disk: Disk):
    """As long as the system follows it, and no longer."""
    (folder / "0").touch()
    for number in range(1, 42):
        (folder / str(number)).symlink_to(str(number - 1))
    assert disk.refuses(folder / "40") == ""
    with pytest.raises(OSError, match="symbolic links"):
        disk.refuses(folder / "41")


def test_links_in_a_circle(folder: Path, disk: Disk):
    """They end."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        disk.refuses(folder / "a")


def test_what_is_not_there(folder: Path, disk: Disk):
    """The reader decides what that means."""
    with pytest.raises(FileNotFoundError):
        disk.refuses(folder / "none")


def test_where_files_have_no_owner(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    """Windows says nothing by owner and mode, so nothing is judged by them."""
    disk.owners[folder / "file"] = OTHER
    monkeypatch.delattr(os, "geteuid")
    assert disk.refuses(folder / "file") == ""


def test_a_relative_path(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    """Is judged from the working directory up."""
    monkeypatch.chdir(folder)
    disk.owners[folder.parent] = OTHER
    assert f"{folder.parent} belongs to" in disk.refuses("file")


# The files that are found


@pytest.fixture(params=["file", "folder", "link"])
def open_up(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], None]:
    """Let everybody write a file, its folder, or what takes its place and is a link."""

    def open_up(path: Path) -> None:
        if request.param == "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
            (tmp_path / "elsewhere").chmod(0o666)
        else:
            (path if request.param == "file" else path.parent).chmod(0o777)

    return open_up


OURS = "general_settings: {key_management_system: aws_kms}"


def test_config_yaml(folder: Path, open_up: Callable[[Path], None]):
    """What was found is judged, what is named is not, and neither is a file that is not for us."""
    path = folder / "config.yaml"
    path.write_text(OURS)
    assert Config.from_environment({}, folder).sources["default"].system == "aws_kms"
    open_up(path)
    with pytest.raises(ConfigError, match=r"config\.yaml: nobody named.*run: chmod.*ASYNCSECRETS_CONFIG") as caught:
        Config.from_environment({}, folder)
    assert caught.value.__context__ is None
    assert Config.from_environment({"ASYNCSECRETS_CONFIG": "config.yaml"}, folder).origin == str(path)
    assert load_config(path, {}).origin == str(path)
    path.write_text("general_settings: {master_key: canary}")
    assert Config.from_environment({}, folder).sources["default"].system == "env"


async def test_dotenv(folder: Path, monkeypatch: pytest.MonkeyPatch, open_up: Callable[[Path], None]):
    """The same for .env, whenever it is read; what the environment has is not in question."""
    monkeypatch.chdir(folder)
    (folder / ".env").write_text("NAME=canary\n")
    env = EnvironmentProvider({"REAL": "canary-real"}, dotenv=FOUND_DOTENV)
    await env.open()
    assert (await env.get("NAME")).equals("canary")
    open_up(folder / ".env")
    os.utime(folder / ".env", (1_700_000_000, 1_700_000_000))
    with pytest.raises(ConfigError, match=r"\.env: nobody named.*run: chmod.*env_file"):
        await env.get("NAME")
    assert (await env.get("REAL")).equals("canary-real")
    usual = EnvironmentProvider.from_settings({}, {})
    await usual.open()
    with pytest.raises(ConfigError, match=r"\.env: nobody named"):
        await usual.look()
    assert ".env: nobody named" in usual.remark
    named = EnvironmentProvider({}, dotenv=".env")
    await named.open()
    assert named.lookup("NAME").equals("canary")


@pytest.mark.parametrize("found", [True, False])
def test_files_that_a_file_names(tmp_path: Path, folder: Path, open_up: Callable[[Path], None], found: bool):
    """They are as good as the file that names them: judged if that was found, and obeyed if it was named."""
    config, store, dotenv = folder / "config.yaml", tmp_path / "a" / "store.yaml", tmp_path / "b" / "its.env"
    for path in (store, dotenv):
        path.parent.mkdir()
        path.write_text("")
    config.write_text(
        f"general_settings:\n  key_management_system: local\n  key_management_settings: {{local_file: {store}}}\n"
        f"asyncsecrets: {{env_file: {dotenv}}}\n"
    )

    def load() -> Config:
        return Config.from_environment({} if found else {"ASYNCSECRETS_CONFIG": "config.yaml"}, folder)

    env_file = load().env_file
    assert env_file is not None
    assert Path(env_file) == dotenv
    open_up(dotenv)
    if found:
        with pytest.raises(ConfigError, match=r"its\.env: nobody named"):
            env_file.check()
    else:
        assert env_file == dotenv
    open_up(store) if not (tmp_path / "elsewhere").exists() else store.chmod(0o666)
    if found:
        with pytest.raises(ConfigError, match=r"store\.yaml: nobody named"):
            load()
    else:
        assert load().sources["default"].settings["local_file"] == str(store)


async def test_local_store(folder: Path, monkeypatch: pytest.MonkeyPatch, open_up: Callable[[Path], None]):
    """A store that nobody named is neither read nor written."""
    monkeypatch.chdir(folder)
    secret, public = generate_key()
    init_store("secrets.yaml", public)
    environ = {"ASYNCSECRETS_KEY": secret}
    provider = LocalProvider.from_settings({}, environ)
    await provider.open()
    await provider.put("NAME", "canary")
    open_up(folder / "secrets.yaml")
    before = (folder / "secrets.yaml").read_bytes()
    for call in (provider.get("NAME"), provider.put("NAME", "canary-2"), provider.list()):
        with pytest.raises(MalformedResponseError, match=r"secrets\.yaml: nobody named"):
            await call
    assert (folder / "secrets.yaml").read_bytes() == before
    with pytest.raises(ConfigError, match=r"secrets\.yaml: nobody named.*run: chmod.*ASYNCSECRETS_FILE"):
        await LocalProvider.from_settings({}, environ).open()
    for given, variables_ in (({"local_file": "secrets.yaml"}, {}), ({}, {"ASYNCSECRETS_FILE": "secrets.yaml"})):
        named = LocalProvider.from_settings(given, environ | variables_)
        await named.open()
        assert (await named.get("NAME")).equals("canary")


async def test_key_of_the_local_store(tmp_path: Path, folder: Path):
    """The key that asyncsecrets init makes is judged as well; its own rule says who may read it."""
    secret, public = generate_key()
    init_store(folder / "secrets.yaml", public)
    key = folder / ".config" / "asyncsecrets" / "key.txt"
    key.parent.mkdir(parents=True)
    write_key_file(key, secret, public)
    where = {"local_file": str(folder / "secrets.yaml")}
    await LocalProvider.from_settings(where, {"HOME": str(folder)}).open()
    key.parent.chmod(0o777)
    with pytest.raises(ConfigError, match=r"key\.txt: nobody named.*run: chmod.*ASYNCSECRETS_KEY_FILE"):
        await LocalProvider.from_settings(where, {"HOME": str(folder)}).open()
    await LocalProvider.from_settings(where, {"ASYNCSECRETS_KEY_FILE": str(key)}).open()


# Variables


ALWAYS = "GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER"
TEXTS = [(system, key) for system in SYSTEMS for key, known in vocabulary(system).items() if known.kind is Kind.TEXT]
EVERY = sorted(
    {variable for words in SYSTEMS.values() for known in words.values() for variable in known.environ}
    | {"GITHUB_TOKEN", "PATH", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "OPENAI_API_KEY", "TOKEN"}
)


def found_config(folder: Path, system: str, key: str, variable: str, environ: dict[str, str]) -> Config:
    """A found file in which the setting is the variable."""
    (folder / "config.yaml").write_text(
        f"general_settings:\n  key_management_system: {system}\n"
        f"  key_management_settings: {{{key}: os.environ/{variable}}}\n"
    )
    return Config.from_environment(environ, folder)


@pytest.mark.parametrize(("system", "key"), TEXTS)
def test_a_setting_takes_its_own_variables_only(tmp_path: Path, system: str, key: str):
    """Of all variables there are, also those of the same manager; and the file that is named takes them all."""
    environ = {**dict.fromkeys([*EVERY, *variables(system, key)], "7"), ALWAYS: "true"}
    refused = sorted(set(environ) - variables(system, key))
    own = vocabulary(system)[key].environ
    assert set(own) <= variables(system, key)
    for variable in variables(system, key):
        found = found_config(tmp_path, system, key, variable, environ).sources["default"]
        assert found.settings.get(key, "7") == "7"
    for variable in refused:
        with pytest.raises(ConfigError, match=f"{key} may not have the variable '{variable}'") as caught:
            found_config(tmp_path, system, key, variable, environ)
        assert caught.value.__context__ is None
    load_config(tmp_path / "config.yaml", environ)


def test_no_variable_is_of_two_managers():
    """But for what every manager understands: so none goes out as another's."""
    settings = {(system, key): variables(system, key) for system, key in TEXTS}
    for (system, key), own in settings.items():
        for (other, key_2), others in settings.items():
            if system.partition("_")[0] != other.partition("_")[0] and key != key_2:
                assert not own & others, (system, key, other, key_2)


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        ("aws_secret_manager", {"tags": {"a": "os.environ/AWS_SECRET_ACCESS_KEY"}}),
        ("aws_secret_manager", {"replica_regions": ["os.environ/AWS_SECRET_ACCESS_KEY"]}),
        ("hashicorp_vault", {"cluster_addrs": ["os.environ/VAULT_TOKEN"]}),
        ("memory", {"secrets": {"a": "os.environ/VAULT_TOKEN"}}),
        ("custom", {"aws_secret_access_key": "os.environ/AWS_SECRET_ACCESS_KEY"}),
        ("custom", {"token": "os.environ/GITHUB_TOKEN"}),
        ("os.environ/AWS_SECRET_ACCESS_KEY", {}),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_every_place_of_a_reference(tmp_path: Path, system: str, settings: dict[str, object], named: bool):
    """In lists and mappings, in settings of somebody's own class, as the manager's name, in a source beside."""
    environ = {"AWS_SECRET_ACCESS_KEY": "canary", "VAULT_TOKEN": "canary", "GITHUB_TOKEN": "canary"}
    section = {"key_management_system": system, "key_management_settings": settings}
    document = {"asyncsecrets": {"sources": {"beside": section}}} if named else {"general_settings": section}
    (tmp_path / "config.yaml").write_text(str(document))
    with pytest.raises(ConfigError, match=r"may not have the variable") as caught:
        Config.from_environment(environ, tmp_path)
    assert "canary" not in str(caught.value)
    assert "ASYNCSECRETS_CONFIG" in str(caught.value)


def test_a_class_of_ones_own_takes_variables_called_like_its_settings(tmp_path: Path):
    """Its settings are its own, and what their variables are called is known by nobody else."""
    found = found_config(tmp_path, "custom", "acme_key", "ACME_KEY", {"ACME_KEY": "canary"})
    assert found.sources["default"].settings["acme_key"] == "canary"


FILES = [(system, key) for system, key in TEXTS if key in SENT_FILES]


def found_file(folder: Path, system: str, key: str, value: object, home: Path) -> Config:
    """A found file in which the setting names a file."""
    section = {"key_management_system": system, "key_management_settings": {key: str(value)}}
    (folder / "config.yaml").write_text(str({"general_settings": section}))
    return Config.from_environment({"HOME": str(home), "VAULT_TOKEN": "canary"}, folder)


@pytest.mark.parametrize(("system", "key"), FILES)
def test_files_of_ones_own_are_not_sent(tmp_path: Path, system: str, key: str):
    """What other tools keep at home, and the environment as a file; by whatever way a found file points there."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    folder = home / "src" / "cloned"
    folder.mkdir(parents=True)
    outside.mkdir()
    (folder / "link").symlink_to("../../.aws/credentials")
    at_home = (home / ".aws" / "credentials", folder / "link", folder / ".." / "other", home / ".vault-token2")
    for path in (*at_home, "/proc/self/environ", "/run/user/1000/token"):
        for value in (path, f"oidc/file/{path}") if key.startswith("aws") else (path,):
            with pytest.raises(ConfigError, match=rf"{key} names a file of your own.*ASYNCSECRETS_CONFIG"):
                found_file(folder, system, key, value, home)
            load_config(folder / "config.yaml", {"HOME": str(home)})
    for path in (folder / "token", outside / "token", "/var/run/secrets/token", home / ".vault-token"):
        settings = found_file(folder, system, key, path, home).sources["default"].settings
        assert settings[key] == str(path)
    found_file(folder, system, key, "/srv/token", Path("/"))  # no home to speak of


def test_a_variable_by_another_way(tmp_path: Path):
    """What LiteLLM calls a token from the environment is a variable too."""
    for form in ("oidc/env/VAULT_TOKEN", "oidc/env_path/VAULT_TOKEN"):
        with pytest.raises(ConfigError, match="may not have the variable 'VAULT_TOKEN'"):
            found_file(tmp_path, "aws_secret_manager", "aws_web_identity_token", form, tmp_path)
        load_config(tmp_path / "config.yaml", {"VAULT_TOKEN": "canary"})
    for form in ("oidc/env/AWS_WEB_IDENTITY_TOKEN", "oidc/env_path/AWS_WEB_IDENTITY_TOKEN_FILE"):
        found_file(tmp_path, "aws_secret_manager", "aws_web_identity_token", form, tmp_path)
