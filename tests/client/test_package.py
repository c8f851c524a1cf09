"""The client as a package: its types, what npm packs of it, and that Django serves it."""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

import authx
from authx.models import EndReason

FOLDER = Path(authx.__file__).parent / "static/authx"
CODE, TYPES = (FOLDER / "client.js").read_text(), (FOLDER / "client.d.ts").read_text()
PACKAGE = json.loads((FOLDER / "package.json").read_text())


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path, npm):
    """A project in TypeScript that uses every name, beside the client and axios."""
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "authx-client").symlink_to(FOLDER)
    (modules / "axios").symlink_to(npm / "node_modules/axios")
    shutil.copy(Path(__file__).with_name("usage.ts"), tmp_path)
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "module": "nodenext",
        "target": "es2022",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
        "noEmit": True,
        "skipLibCheck": False,
        "preserveSymlinks": True,
    }
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["usage.ts"]}))
    return tmp_path


def test_every_name_compiles(project, npm):
    run(str(npm / "node_modules/.bin/tsc"), "--noEmit", "-p", ".", cwd=project)


def test_the_usage_names_everything_that_is_exported():
    usage = Path(__file__).with_name("usage.ts").read_text()
    exported = re.findall(r"^export (?:declare )?(?:type|interface|class|const|function) (\w+)", TYPES, re.M)
    assert len(exported) > 10
    assert [name for name in exported if not re.search(rf"\b{name}\b", usage)] == []
    members = re.findall(r"^  (?:readonly )?(\w+)[?(<:]", TYPES, re.M)
    assert {name for name in members if not re.search(rf"\b{name}\b", usage)} <= {
        "constructor",
        "interceptors",
        "getUri",
        "request",
    }


def test_the_types_declare_what_the_module_exports():
    exported = set(re.findall(r"^export (?:async )?(?:class|const|function) (\w+)", CODE, re.M))
    declared = set(re.findall(r"^export declare (?:class|const|function) (\w+)", TYPES, re.M))
    assert exported == declared == {"AuthError", "MESSAGES", "createClient"}


@pytest.mark.parametrize("text", [CODE, TYPES], ids=["code", "types"])
def test_it_knows_every_reason_and_no_ghost(text):
    start = text.index("MESSAGES = " if text is CODE else "EndReason =")
    block = text[start : text.index(";\n", start)]
    words = re.findall(r'^  (?:\| )?"?(\w+)"?(?::|$|;)', block, re.M)
    assert sorted(words) == sorted(EndReason.values)


def test_its_sentences_are_those_of_the_pages():
    for reason in EndReason:
        assert f'  {reason.value}: "{reason.label}",\n' in CODE


def test_the_package_has_the_version_of_authx():
    assert PACKAGE["version"] == authx.__version__
    assert (PACKAGE["name"], PACKAGE["type"], PACKAGE["sideEffects"]) == ("authx-client", "module", False)


def test_it_imports_nothing_and_is_built_by_nobody():
    assert re.findall(r"^import |\brequire\(|\bimport\(|\beval\(|new Function", CODE, re.M) == []
    assert not {"dependencies", "devDependencies", "scripts"} & set(PACKAGE)


@pytest.mark.parametrize("name", ["client.js", "client.d.ts", "package.json"])
def test_django_serves_it(name):
    assert Path(finders.find(f"authx/{name}")) == FOLDER / name


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_npm_packs_it(tmp_path):
    """From a copy: npm leaves what it packs beside it."""
    shutil.copytree(FOLDER, tmp_path / "authx")
    cache = tmp_path / "cache"
    run("npm", "pack", "--offline", "--cache", str(cache), cwd=tmp_path / "authx")
    packed = tmp_path / f"authx/authx-client-{authx.__version__}.tgz"
    with tarfile.open(packed) as archive:
        assert sorted(archive.getnames()) == [
            "package/client.d.ts",
            "package/client.js",
            "package/package.json",
        ]
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "package").rename(tmp_path / "node_modules/authx-client")
    program = "import('authx-client').then((all) => console.log(Object.keys(all).sort().join()))"
    assert run("node", "-e", program, cwd=tmp_path).strip() == "AuthError,MESSAGES,createClient"
