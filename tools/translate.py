"""Collects the program's sentences, merges them into the translation catalogs, compiles these, and reports what is
missing.

    python -m tools.translate [--check] [--apply FILE.json] [--prune]

Sentences are the arguments of ``_``, ``ngettext``, and ``N_`` under ``bntui/``, the help of the command line, the
descriptions of the scenario file's keys, and the definitions of a keyframe's figures.  The last three are read from the
commands, models, and docstrings, so they need no marks.  The tool reports sentences whose translation is missing or
fuzzy or has other placeholders; sentences that are no longer in the source are kept as obsolete until ``--prune``
removes them.  ``--apply`` reads translations from a file, keyed by the English sentence (the singular, if there is a
plural).  ``--check`` writes nothing and exits 1 if anything is left to do.  Lessons and texts of scenarios have their
own files: for those, it only reports which translations are missing or stale.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import io
import json
import os
import re
import string
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from bntui.lessons import checksum, stale
from bntui.scenario.gallery import builtin_folder
from bntui.text.language import DOMAIN, FOLDER, LANGUAGES

ROOT = Path(__file__).parent.parent
HEADER = "# What bntui says, in another language; python -m tools.translate keeps it in step with the source."


class _Dateless(Catalog):
    """A catalog whose header does not change with every edit."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale)),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def catalogue_path(language: str) -> Path:
    """Path of a language's catalog; the compiled one has the suffix ``.mo``."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def collected() -> Catalog:
    """All sentences of the program, untranslated, in the order of the files."""
    catalogue = Catalog(charset="utf-8")
    for file in sorted((ROOT / "bntui").rglob("*.py")):
        for message in marked(ast.parse(file.read_text(encoding="utf-8"))):
            catalogue.add(message, locations=[(file.relative_to(ROOT).as_posix(), 0)])
    read_off = (
        ("bntui/scenario/schema.py", _descriptions()),
        ("bntui/commands", _helps()),
        ("bntui/keyframe.py", _definitions()),
    )
    for place, texts in read_off:
        for text in texts:
            catalogue.add(text, locations=[(place, 0)])
    return catalogue


def marked(tree: ast.Module) -> Iterator[str | tuple[str, str]]:
    """Marked sentences of a module in order; singular and plural together."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        assert isinstance(call.func, ast.Name)
        texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        match call.func.id, texts:
            case "_" | "N_", [str(text)] if text:
                yield text
            case "ngettext", [str(one), str(several), *_]:
                yield one, several


def _descriptions() -> Iterator[str]:
    """Descriptions of tables and keys in the JSON Schema."""
    from bntui.scenario.schema import ScenarioFile

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(text := node.get("description"), str):
                yield text
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from walk(inner)

    yield from walk(ScenarioFile.model_json_schema())


def _definitions() -> Iterator[str]:
    """Definitions of recorded figures, from the keyframe's docstrings."""
    from bntui.definitions import definitions

    yield from (one.text for one in definitions().values() if one.text)


def _helps() -> Iterator[str]:
    """The ``--help`` texts of all commands and options."""
    from typer.main import get_command

    from bntui.cli import app

    top = get_command(app)
    commands = getattr(top, "commands", {})
    for command in (top, *(commands[name] for name in sorted(commands))):  # whatever was imported first
        yield command.help or ""
        yield from (text for parameter in command.params if (text := getattr(parameter, "help", None)))


def stale_scenarios(language: str) -> dict[str, list[str]]:
    """Missing or stale translations of built-in scenarios, by name; ``of`` is the checksum of the English texts."""
    left: dict[str, list[str]] = {}
    for path in sorted(builtin_folder().glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        there = document.get("translation", {}).get(language, {})
        runs = [run["name"] for run in document.get("run", [])]
        texts = {key: document.get(key, "") for key in ("title", "description", "look_for", "reference")}
        claims = [claim["text"] for claim in document.get("claim", [])]
        wanted = checksum(json.dumps([*texts.values(), runs, *claims], ensure_ascii=False))
        lacks = [f"no {key}" for key in ("title", "description", "look_for") if texts[key] and not there.get(key)]
        if isinstance(texts["look_for"], list) and len(there.get("look_for", ())) not in (0, len(texts["look_for"])):
            lacks.append("look_for has another length")
        if len(there.get("claim", ())) != len(claims):
            lacks.append("claim has another length")
        worded = [name for name in runs if re.search("[A-Za-z]{2}", name)]
        lacks += [f"no name for the run {name!r}" for name in worded if name not in there.get("runs", {})]
        if there.get("of") != wanted:
            lacks.append(f'of = "{wanted}" is wanted')
        if lacks:
            left[path.stem] = lacks
    return left


def merged(found: Catalog, before: Catalog, language: str) -> Catalog:
    """The collected sentences with their existing translations; the remaining old sentences become obsolete."""
    now = _Dateless(language, header_comment=HEADER, charset="utf-8", fuzzy=False)
    known = {**{_key(old): old for old in before.obsolete.values()}, **{_key(old): old for old in before if old.id}}
    for message in found:
        if message.id:
            old = known.pop(_key(message), None)
            same = old is not None and isinstance(old.id, str) == isinstance(message.id, str)
            string_, flags = (old.string, old.flags) if old is not None and same else (None, set[str]())
            now.add(message.id, string_, locations=message.locations, flags=set(flags) & {"fuzzy"})
    now.obsolete.update({key: old for key, old in known.items() if _texts(old)})
    return now


def apply(catalogue: Catalog, translations: Mapping[str, str]) -> list[str]:
    """Set translations, keyed by the English sentence; returns the sentences that the program does not have."""
    known = {_key(message): message for message in catalogue if message.id}
    for english, text in translations.items():
        if english in known:
            message = known[english]
            message.string = text if isinstance(message.id, str) else (text,) * catalogue.num_plurals
            message.flags.discard("fuzzy")
    return [english for english in translations if english not in known]


def faults(catalogue: Catalog) -> Iterator[str]:
    """The faults of a catalog, one line each."""
    for message in catalogue:
        if not message.id:
            continue
        key = _key(message)
        if not all(_texts(message) or [""]):
            yield f"missing: {key!r}  ({', '.join(sorted({place for place, _ in message.locations}))})"
        elif message.fuzzy:
            yield f"fuzzy: {key!r}"
        else:
            wanted = placeholders(key if isinstance(message.id, str) else message.id[1])
            for text in _texts(message):
                if placeholders(text) != wanted:
                    yield f"other placeholders: {key!r} → {text!r}"
    yield from (f"obsolete: {_key(message)!r}" for message in catalogue.obsolete.values())


def placeholders(text: str) -> set[str] | None:
    """Names of a sentence's placeholders; None if its braces have another meaning."""
    try:
        return {name.partition(".")[0].partition("[")[0] for _, name, _, _ in string.Formatter().parse(text) if name}
    except ValueError:
        return None


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _texts(message: Message) -> Sequence[str]:
    strings = (message.string,) if isinstance(message.string, str) else message.string or ()
    return [text for text in strings if text]


def read(language: str) -> Catalog:
    """Read a language's catalog; an empty one if there is none."""
    path = catalogue_path(language)
    if not path.exists():
        return Catalog(language, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language, charset="utf-8")


def po_bytes(catalogue: Catalog) -> bytes:
    """The catalog as a ``.po`` file, without line numbers, which would change with every edit."""
    out = io.BytesIO()
    write_po(out, catalogue, width=120, include_lineno=False)
    return out.getvalue()


def mo_bytes(catalogue: Catalog) -> bytes:
    """The compiled catalog, as gettext reads it."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the catalog, so that concurrent translators do not overwrite each other's work."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    new = path.with_suffix(f"{path.suffix}.new")
    new.write_bytes(content)
    new.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is left to do")
    parser.add_argument("--apply", type=Path, metavar="FILE.json", help="English sentences and their translations")
    parser.add_argument("--language", choices=LANGUAGES[1:], default=LANGUAGES[1], help="language of --apply")
    parser.add_argument("--prune", action="store_true", help="remove sentences that are no longer in the source")
    options = parser.parse_args()
    found, left = collected(), []
    for language in LANGUAGES[1:]:
        path = catalogue_path(language)
        with _alone(path.parent):
            catalogue = merged(found, read(language), language)
            if options.apply and language == options.language:
                unknown = apply(catalogue, json.loads(options.apply.read_text(encoding="utf-8")))
                left += [f"{language}: not in the source: {english!r}" for english in unknown]
            if options.prune:
                catalogue.obsolete.clear()
            left += [f"{language}: {fault}" for fault in faults(catalogue)]
            files = {path: po_bytes(catalogue), path.with_suffix(".mo"): mo_bytes(catalogue)}
            for file, content in files.items():
                if not options.check:
                    _write(file, content)
                elif not file.exists() or file.read_bytes() != content:
                    left.append(f"{language}: {file.name} is not up to date")
        left += [f"{language}: lesson {name}: begin with {line}" for name, line in stale(language).items()]
        left += [
            f"{language}: scenario {name}: {'; '.join(lacks)}" for name, lacks in stale_scenarios(language).items()
        ]
        print(f"{language}: {len(catalogue)} sentences", file=sys.stderr)
    print("\n".join(left) or "nothing left to do")
    return int(options.check and bool(left))


if __name__ == "__main__":
    sys.exit(main())
