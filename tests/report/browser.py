"""Opens a page in headless Chromium: nothing may leave it, nothing may be logged, and axe-core may find nothing.

browser.py PAGE FOLDER: prints what is wrong, one line each; screenshots go into FOLDER. Exit code 77: no Chromium.
axe-core comes from npm, if npm is there; without it, that part is skipped and said so.
"""

import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
chromium = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
if chromium is None:
    print("no Chromium", file=sys.stderr)
    sys.exit(77)

QUIET = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--no-default-browser-check", "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter,Translate", "--virtual-time-budget=5000",
]


def browse(target, *options):
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [chromium, *QUIET, f"--user-data-dir={profile}", "--enable-logging=stderr", *options, target.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def requested(target, width):
    """What the browser asks for over the network while it shows a page, and what it logs."""
    log = folder / f"net-{width}.json"
    shot = folder / f"{width}.png"
    ran = browse(target, f"--window-size={width},2400", f"--screenshot={shot}", f"--log-net-log={log}")
    # The log may be cut off where the browser ended.
    urls = re.findall(r'"url":"(https?://[^/"]+)', log.read_text(errors="replace")) if log.exists() else []
    return set(urls), [line for line in ran.stderr.splitlines() if "CONSOLE" in line]


# What the browser does by itself, it does for an empty page, too.
empty = folder / "empty.html"
empty.write_text("<!DOCTYPE html><title>empty</title>")
own, _ = requested(empty, 800)

problems = []
for width in (390, 1440):
    hosts, said = requested(page, width)
    problems += [f"console at {width}: {line}" for line in said]
    problems += [f"request at {width}: {host}" for host in sorted(hosts - own)]

def axe():
    npm = shutil.which("npm")
    if npm is None:
        return None
    packed = subprocess.run([npm, "pack", "axe-core@4", "--silent"], cwd=folder, capture_output=True, text=True)
    if packed.returncode != 0:
        return None
    with tarfile.open(folder / packed.stdout.split()[-1]) as package:
        return package.extractfile("package/axe.min.js").read().decode()


script = axe()
if script is None:
    print("SKIP: no npm to get axe-core with", file=sys.stderr)
else:
    # The page's own policy forbids scripts: only the copy has one.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    run = (
        "axe.run(document, {}).then(found => {"
        "const all = found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120)).join(' | '));"
        "const out = document.createElement('pre'); out.id = 'axe'; out.textContent = JSON.stringify(all);"
        "document.body.appendChild(out); })"
    )
    copy = folder / "with-axe.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script><script>{run}</script></body>"))
    for name, options in {"light": [], "dark": ["--blink-settings=preferredColorScheme=0"]}.items():
        ran = browse(copy, "--window-size=1000,2400", "--dump-dom", *options)
        found = re.search(r'<pre id="axe">(.*?)</pre>', ran.stdout, re.S)
        if found is None:
            problems.append(f"axe-core did not run ({name}): {ran.stderr[-500:]}")
        else:
            problems += [f"{name}: {what}" for what in json.loads(html.unescape(found.group(1)))]

print("\n".join(problems))
