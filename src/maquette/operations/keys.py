"""The verb `keys`: what images are signed with, and whose signatures are believed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace
    from maquette.trust.keys import Keys as Folder

ACTIONS = ("show", "name", "export", "trust", "forget", "rotate", "revoke", "import", "protect", "time-stamping")
_PUBLIC = "A local key proves: unchanged, and by this maker. The public does not know it."


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What to do with the keys."""

    action: str = argument(
        "what to do: show, name NAME, export, trust FILE, forget NAME, rotate, revoke [SERIAL], import, protect, "
        "time-stamping URL (or off)",
        default="show",
    )
    value: str = argument("what the action is about", default="")
    to: str = setting("", "for export: the file to write", form="FILE")
    name: str = setting("", "for trust: the name for the other maker; the file's name when left out")
    stamps: bool = setting(False, "for trust: believe the time stamps of this authority, and nothing else")
    certificate: str = setting("", "for import: the certificates, in PEM form", form="FILE")
    key: str = setting("", "for import: the private key, in PEM form", form="FILE")
    authority: bool = setting(False, "for rotate: also make a new local authority")


@operation
def keys(request: Keys, workspace: Workspace) -> Iterator[Event]:
    """Show, name, hand out, renew or revoke what images are signed with, and choose whose signatures to believe.

    Keys are made when the first image is signed. Passphrases come from the environment, never from arguments:
    MAQUETTE_PASSPHRASE opens the keys, MAQUETTE_NEW_PASSPHRASE is the next one for protect (empty takes it away).
    """
    from maquette.trust.keys import Keys as Folder

    if request.action not in ACTIONS:
        raise UsageError(f"there is no action {request.action!r}", do=f"there are: {', '.join(ACTIONS)}")
    folder = Folder(workspace.home)
    summary = _DO[request.action](folder, request)
    if request.action == "export":
        yield Made(path=request.to or "maquette-authority.pem", what="certificate")
    facts = _facts(folder)
    if request.action == "show":
        yield _table(facts)
        yield Note(text=_PUBLIC)
    yield Result(verb="keys", facts=facts, value=facts, summary=summary)


def _show(folder: Folder, request: Keys) -> str:
    return f"The keys are in {folder.folder}." if folder.exist() else _NONE


_NONE = "There are no keys yet: they are made when the first image is signed."


def _name(folder: Folder, request: Keys) -> str:
    folder.rename(_needed(request.value, "maquette keys name NAME"))
    return "Images carry that name from now on; the certificate keeps the one it was made with (rotate changes it)."


def _export(folder: Folder, request: Keys) -> str:
    from maquette.core.files import write_bytes

    path = Path(request.to or "maquette-authority.pem").expanduser()
    content = folder.export()
    if path.exists():
        raise UsageError("there is a file already", where=path, do="choose another one with --to")
    write_bytes(path, content)
    return f"{path}: your authority's certificate and what you revoked. Others run: maquette keys trust {path.name}"


def _trust(folder: Folder, request: Keys) -> str:
    file = Path(_needed(request.value, "maquette keys trust FILE"))
    what = folder.trust(file, request.name or file.stem, stamps=request.stamps)
    if what == "list":
        return f"{file}: what that authority revoked is known here now."
    if request.stamps:
        return f"Time stamps under {file.name} are believed from now on."
    return f"Images signed under {file.name} count as intact from now on, as those of {request.name or file.stem}."


def _forget(folder: Folder, request: Keys) -> str:
    folder.forget(_needed(request.value, "maquette keys forget NAME"))
    return f"Images of {request.value} are by an unknown signer from now on."


def _rotate(folder: Folder, request: Keys) -> str:
    folder.rotate(request.value, authority=request.authority)
    return "A fresh key signs from now on. What was signed before stays valid; the old private key is gone."


def _revoke(folder: Folder, request: Keys) -> str:
    try:
        serial = int(request.value, 16) if request.value else None
    except ValueError:
        raise UsageError(f"{request.value!r} is not a serial number", do="maquette keys lists them") from None
    chosen = folder.revoke(serial)
    return (
        f"The certificate {chosen.serial_number:x} is revoked: what it signed is not to be relied on. "
        "Export again, so that others know."
    )


def _import(folder: Folder, request: Keys) -> str:
    files = [Path(_needed(text, _IMPORT)).expanduser() for text in (request.certificate, request.key)]
    folder.adopt(files[0], files[1])
    return "Images are signed with your own certificate from now on."


_IMPORT = "maquette keys import --certificate FILE --key FILE"


def _protect(folder: Folder, request: Keys) -> str:
    new = os.environ.get("MAQUETTE_NEW_PASSPHRASE")
    if new is None:
        raise UsageError("the new passphrase is missing", do="set MAQUETTE_NEW_PASSPHRASE; empty takes it away")
    if not folder.exist():
        folder.signer()
    folder.protect(new)
    return "The keys open with the new passphrase only." if new else "The keys open without a passphrase."


def _time_stamping(folder: Folder, request: Keys) -> str:
    url = _needed(request.value, "maquette keys time-stamping URL, or off")
    folder.time_stamp_with("" if url == "off" else url)
    if url == "off":
        return "Signing asks no network."
    return f"Every signature is countersigned by {url} from now on: signing needs the network, and takes longer."


_DO: Mapping[str, Callable[[Folder, Keys], str]] = {
    "show": _show, "name": _name, "export": _export, "trust": _trust, "forget": _forget, "rotate": _rotate,
    "revoke": _revoke, "import": _import, "protect": _protect, "time-stamping": _time_stamping,
}  # fmt: skip


def _needed(value: str, how: str) -> str:
    if not value:
        raise UsageError("something is missing", do=f"write {how}")
    return value


def _facts(folder: Folder) -> dict[str, Any]:
    """What there is; nothing of it is secret."""
    from maquette.trust import certificates as x

    anchors = folder.anchors()
    revoked = {serial for anchor in anchors if anchor.own for serial in anchor.revoked}
    signing = [
        {
            "serial": f"{one.serial_number:x}", "name": x.name_of(one), "fingerprint": x.fingerprint(one),
            "from": f"{one.not_valid_before_utc:%Y-%m-%d}", "until": f"{one.not_valid_after_utc:%Y-%m-%d}",
            "state": "revoked" if one.serial_number in revoked else "former" if number else "signs",
        }
        for number, one in enumerate(folder.signing_certificates())
    ]  # fmt: skip
    trusted = [
        {
            "name": anchor.name, "fingerprint": x.fingerprint(x.from_pem(anchor.pem)), "own": anchor.own,
            "stamps": anchor.stamps,
        }
        for anchor in anchors
    ]  # fmt: skip
    facts = folder.facts()
    return {
        "folder": str(folder.folder), "maker": facts["name"], "time_stamping": facts["time_stamping"] or "off",
        "certificates": signing, "trusted": trusted,
    }  # fmt: skip


def _table(facts: Mapping[str, Any]) -> Table:
    rows = [[one["state"], one["name"], one["serial"], one["until"]] for one in facts["certificates"]]
    rows += [
        ["stamps" if one["stamps"] else "trusted", one["name"], one["fingerprint"][:32], ""]
        for one in facts["trusted"]
        if not one["own"]
    ]
    return Table(title="Keys and whom they answer to", columns=["state", "name", "number", "until"], rows=rows)
