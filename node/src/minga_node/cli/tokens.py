"""``minga token``: tokens that are for some names, or for some time, and the end of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from minga_node.access import KnownToken
from minga_node.cli.client import Client, ClientError
from minga_node.cli.groups import Words
from minga_node.cli.ids import only
from minga_node.cli.output import Output, echo
from minga_node.cli.tables import Column
from minga_node.cli.token_stores import DirectoryStore, GrantStore, SecretStore
from minga_node.grants import MOST_PREFIXES, Grant, Scope
from minga_node.token_files import grant_line, lines, new_id, new_token, noted_grants, prefixes

COLUMNS = (
    Column("ID"),
    Column("MAY"),
    Column("NAMES", least=16),
    Column("EXPIRES"),
    Column("NOTE", note=True),
)
UNITS_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

where = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The node's tokens_directory; without it --kube says whose tokens are meant.",
)


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number with a unit, such as ``30d``; in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        if text[:-1].isdecimal() and text[-1:] in UNITS_SECONDS and int(text[:-1]) > 0:
            return int(text[:-1]) * UNITS_SECONDS[text[-1]]
        return self.fail(
            f"{text!r} is no duration: expected a number and m, h, d or w, such as 30d", param, ctx
        )


@click.group(cls=Words)
def token() -> None:
    """Makes tokens for some names or some time, lists, revokes.

    A token is printed once and kept nowhere: nodes keep its hash. Nodes heed a change within a second;
    in Kubernetes the kubelet takes up to a minute and a half to hand it to them.

    \b
    Examples:
      minga token create --directory tokens --read --prefix team-a/ --ttl 30d
      minga --kube library token create --write --note "nightly build"
      minga --kube library token list
      minga --kube library token revoke 5e884898
    """


@token.command()
@where
@click.option("--read", "scope", flag_value="read", help="It may look, search and fetch (the default).")
@click.option("--write", "scope", flag_value="write", help="It may put and remove as well.")
@click.option("--prefix", multiple=True, help=f"How the names begin that it is for; at most {MOST_PREFIXES}.")
@click.option(
    "--ttl", type=Duration(), help="How long it is good, such as 12h or 30d; without it until revoked."
)
@click.option("--note", default="", help="What it is for, for the list.")
@click.pass_context
def create(
    ctx: click.Context,
    directory: Path | None,
    scope: str | None,
    prefix: tuple[str, ...],
    ttl: int | None,
    note: str,
) -> None:
    """Makes a token and prints it: the only time that it is seen."""
    try:
        checked = prefixes(list(prefix))
    except ValueError as error:
        raise ClientError(str(error), 2) from None
    expires = None if ttl is None else int(time.time()) + ttl
    grant = Grant(Scope(scope or "read"), checked, expires, new_id())
    made = new_token()
    line = grant_line(made, grant, note)
    try:
        noted_grants(line)
    except ValueError as error:
        raise ClientError(str(error).partition(": ")[2], 2) from None

    def add(text: str) -> str:
        _parsed(text)
        return f"{text.rstrip()}\n{line}\n".lstrip()

    _store(ctx, directory).change(add)
    out = _output(ctx)
    if out.for_programs:
        out.data({**_described(grant, note), "token": made})
        return
    echo(made)
    out.hint(f"the token {grant.id} may {grant.scope} {_names(grant)}, {_until(grant)}")


@token.command("list")
@where
@click.pass_context
def list_tokens(ctx: click.Context, directory: Path | None) -> None:
    """All tokens that were made by `minga token create`, with what each may do."""
    found = _parsed(_store(ctx, directory).read())
    out = _output(ctx)
    if out.for_programs:
        out.data({"tokens": [_described(known.grant, note) for known, note in found]})
        return
    now = time.time()
    out.table(
        COLUMNS,
        [
            [
                known.grant.id,
                str(known.grant.scope),
                " ".join(known.grant.prefixes) or "all",
                _expiry(known.grant, now),
                note,
            ]
            for known, note in found
        ],
    )


@token.command()
@where
@click.argument("beginnings", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def revoke(ctx: click.Context, directory: Path | None, beginnings: tuple[str, ...]) -> None:
    """Ends tokens: nodes refuse them from then on, with their sessions. The first digits of an id will do."""

    def drop(text: str) -> str:
        known = [token.grant.id for token, _ in _parsed(text)]
        ids = [only(known, each, "tokens") for each in beginnings]
        gone = {number for number, line in lines(text) if noted_grants(line)[0][0].grant.id in ids}
        kept = [line for number, line in enumerate(text.splitlines(), 1) if number not in gone]
        return "".join(f"{line}\n" for line in kept)

    _store(ctx, directory).change(drop)
    _output(ctx).say(
        f"{', '.join(beginnings)} {'is' if len(beginnings) == 1 else 'are'} good for nothing any more"
    )


def _store(ctx: click.Context, directory: Path | None) -> GrantStore:
    said = ctx.find_root().params
    network = said.get("kube_network")
    if directory is not None and network is not None:
        raise click.UsageError("--directory and --kube name two places: one of them")
    if directory is not None:
        return DirectoryStore(directory)
    if network is None:
        raise click.UsageError("say whose tokens: --directory DIR, or --kube NETWORK")
    return SecretStore(network, said.get("namespace"))


def _output(ctx: click.Context) -> Output:
    obj: tuple[Client, Output] = ctx.obj
    return obj[1]


def _parsed(text: str) -> list[tuple[KnownToken, str]]:
    try:
        return noted_grants(text)
    except ValueError as error:
        raise ClientError(f"the file of grants is damaged: {error}") from None


def _described(grant: Grant, note: str) -> dict[str, object]:
    expires = None if grant.expires is None else _rfc3339(grant.expires)
    return {
        "id": grant.id,
        "scope": str(grant.scope),
        "prefixes": list(grant.prefixes),
        "expires": expires,
        "note": note,
    }


def _names(grant: Grant) -> str:
    return f"names that begin with {' or '.join(grant.prefixes)}" if grant.prefixes else "all names"


def _until(grant: Grant) -> str:
    return "until it is revoked" if grant.expires is None else f"until {_rfc3339(grant.expires)}"


def _expiry(grant: Grant, now: float) -> str:
    if grant.expires is None:
        return "never"
    return _rfc3339(grant.expires) if grant.is_good(now) else "expired"


def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


COMMANDS = (token,)
