"""The page, as a real browser shows it from disk without a network."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from keys import write_key
from manifests import document
from playwright.sync_api import Browser, Page, sync_playwright
from projects import Project

from commands.page import run
from commands.web import chain, charts
from commands.web.links import commit_address, web_address
from record.bundles import PublicKey, read_private_key
from record.checksums import md5_of
from record.files import to_json
from record.manifest import parse_manifest
from record.problem import Problem
from record.signatures import sign
from record.tracking import hash_of_listing

PAGE = Path("reports/lineage.html")
HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egpj.exe'
CLASSES = {
    "predictions.csv": "actual,predicted,rows\nfemale,female,32\nfemale,male,1\nmale,female,3\nmale,male,31\n",
    "errors.csv": "curve,class,x,y\nROC,male,0,0\nROC,male,0,0.9\nROC,male,1,1\nprecision-recall,male,0,1\n",
    "importance.csv": "feature,importance,spread\nbill_length_mm,0.3,0.1\nx,-0.1,0\n",
}
NUMBERS = {
    "predictions.csv": "actual,predicted\n1,2\n3,3.5\n",
    "errors.csv": "curve,x,y\nresiduals,2,-1\nresiduals,3.5,-0.5\n",
    "importance.csv": "feature,importance,spread\nbill_length_mm,0.3,0.1\n",
}


def manifest(version: str, score: float, plots: dict[str, str], **model: Any) -> dict[str, Any]:
    whole = copy.deepcopy(document())
    whole["version"] = version
    whole["model"] |= {"sha256": f"{int(score * 1000):064x}"} | model
    whole["model"]["features"][0]["counts"] = [1, 5, 3]
    whole["run"] |= {"created_at": f"2026-11-2{version[3]}T00:00:00Z", "experiment": None}
    scores = {"test": score, "cv_mean": score, "cv_std": 0.01, "baseline": 0.5}
    whole["metrics"] = {"balanced_accuracy": scores, "folds": [score, score - 0.01, score + 0.01]}
    whole["stages"]["prepare"]["outs"]["reports/plots"] = hash_of_listing(
        {name: md5_of(content.encode()) for name, content in plots.items()}
    )
    return whole


@pytest.fixture
def release(repository: Project) -> Callable[..., str]:
    """Commit a manifest with the data of its charts, and release it, without running anything."""
    (repository.path / "dvc.yaml").write_text("stages: {}\n")
    repository.run("git remote add origin git@git.example.org:team/penguins.git")

    def write(content: bytes, version: str, plots: dict[str, str], *, tag: bool = True) -> str:
        (repository.path / "models" / version).mkdir(parents=True, exist_ok=True)
        (repository.path / "models" / version / "manifest.json").write_bytes(content)
        (repository.path / "reports/plots").mkdir(parents=True, exist_ok=True)
        for name, text in plots.items():
            (repository.path / "reports/plots" / name).write_text(text)
        commit = repository.commit(version)
        if tag:
            repository.run(f"git tag -a penguins@{version} -m Released")
        return commit

    return write


@pytest.fixture
def three(release: Callable[..., str]) -> list[str]:
    """Three released versions: of classes, of classes with another setting, of numbers; returns their commits."""
    first, second = manifest("v1.0.0", 0.8, CLASSES), manifest("v1.1.0", 0.9, CLASSES)
    second["params"]["estimator"]["C"] = 3.0
    third = manifest("v1.2.0", 0.7, NUMBERS, task="regression", classes=None)
    third["inputs"][0]["md5"] = "7" * 32
    versions = [(first, CLASSES), (second, CLASSES), (third, NUMBERS)]
    return [release(to_json(whole), whole["version"], plots) for whole, plots in versions]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        own = started.chromium.executable_path
        found = next(filter(None, [shutil.which("chromium"), own if Path(own).is_file() else None]), None)
        if found is None:
            pytest.skip("no Chromium: python -m playwright install chromium, or apt-get install chromium")
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open the page that was written; whatever the browser complains of fails the test."""
    said: list[str] = []
    contexts = []

    def show(path: Path = PAGE, **settings: Any) -> Page:
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: said.append(request.url) if "http" in request.url else None)
        page.goto(path.absolute().as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert not said


@pytest.mark.usefixtures("three")
def test_the_page_shows_each_release_with_its_score_its_chain_its_causes_and_its_charts(
    show: Callable[..., Page],
) -> None:
    told = run(everywhere=False, output=PAGE)
    page = show()
    text = page.locator("main").text_content() or ""

    assert told.facts["versions"] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    assert page.locator("details.version h2").all_text_contents() == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert page.locator("details.version").first.get_attribute("open") is not None
    assert "+0.1000 ± 0.0000 over the same 3 folds, more than noise" in text
    assert "estimator.C: 1.0 → 3.0" in page.locator("#v1\\.1\\.0").text_content()
    assert "params" not in page.locator("#v1\\.0\\.0").text_content()
    titles = page.locator("#v1\\.0\\.0 figcaption").all_text_contents()
    assert [title.split()[0] for title in titles] == ["predicted", "ROC:", "precision", "permutation"]
    assert page.locator("#v1\\.2\\.0 figcaption").first.text_content() == "predicted against actual"
    assert page.locator("#v1\\.2\\.0 .new").get_attribute("d").count("M") == 2  # the input and the model


def test_the_page_says_where_a_version_is_deployed_and_what_was_there_before(
    three: list[str], repository: Project, show: Callable[..., Page]
) -> None:
    for count, (commit, day) in enumerate(zip(three[:2], ("2026-01-19", "2026-03-01"), strict=True), start=1):
        date = f"{day}T00:00:00Z"
        repository.run(f"git tag -a penguins#prod#{count} -m prod {commit}", GIT_COMMITTER_DATE=date)
    run(everywhere=False, output=PAGE)
    page = show()

    assert "in prod since 2026-03-01, before it v1.0.0 for 41 days" in page.locator("#v1\\.1\\.0").text_content()
    assert "was in prod from 2026-01-19 to 2026-03-01" in page.locator("#v1\\.0\\.0").text_content()
    assert page.locator(".tag").all_text_contents() == ["released", "in prod", "released"]


def test_charts_are_shown_where_each_is_an_out_of_its_own_and_not_where_one_is_another(
    release: Callable[..., str], show: Callable[..., Page]
) -> None:
    for version, plots in {"v1.0.0": CLASSES, "v1.1.0": CLASSES | {"errors.csv": "curve,class,x,y\n"}}.items():
        whole = manifest(version, 0.8, CLASSES)
        del whole["stages"]["prepare"]["outs"]["reports/plots"]
        outs = {f"reports/plots/{name}": md5_of(content.encode()) for name, content in CLASSES.items()}
        whole["stages"]["prepare"]["outs"] |= outs
        release(to_json(whole), version, plots)
    run(everywhere=False, output=PAGE)
    page = show()

    assert page.locator("#v1\\.0\\.0 figcaption").count() == 4
    assert page.locator("#v1\\.1\\.0 figcaption").count() == 0


def test_search_finds_a_hash_and_commits_link_to_the_remote(three: list[str], show: Callable[..., Page]) -> None:
    run(everywhere=False, output=PAGE)
    page = show()
    for asked, count in {
        "7" * 32: 1,
        "data/raw/penguins.parquet": 3,
        f"{800:064x}": 1,
        three[1]: 1,
        "nothing": 0,
    }.items():
        page.get_by_label("Find a hash, path or name").fill(asked)

        assert page.get_by_role("status").text_content() == f"{count} of 3 versions"
        assert page.locator("details.version:visible").count() == count

    page.get_by_label("Find").fill("")
    assert page.locator("details.version:visible").count() == 3
    links = page.locator("a[href^='https:']").evaluate_all("links => links.map(link => link.href)")
    assert f"https://git.example.org/team/penguins/commit/{three[0]}" in links
    assert all(link.startswith("https://git.example.org/team/penguins") for link in links)


@pytest.mark.usefixtures("three")
def test_links_and_folds_work_by_keyboard_and_without_javascript(show: Callable[..., Page]) -> None:
    run(everywhere=False, output=PAGE)
    page = show()
    page.locator("#v1\\.1\\.0 summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#v1\\.1\\.0").get_attribute("open") is not None
    page.locator("#v1\\.1\\.0 a[href='#v1.0.0']").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('v1.0.0').open")

    plain = show(java_script_enabled=False)
    assert not plain.get_by_role("search").is_visible()
    plain.locator("#v1\\.0\\.0 summary").click()
    assert plain.get_by_text("bill_length_mm").first.is_visible()


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_everybody_can_use_it_on_a_phone_and_in_the_dark(show: Callable[..., Page], scheme: str, width: int) -> None:
    run(everywhere=False, output=PAGE)
    page = show(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []


def test_a_hostile_manifest_shows_as_text(release: Callable[..., str], show: Callable[..., Page]) -> None:
    whole = manifest("v1.0.0", 0.8, CLASSES)
    whole["model"]["features"][0]["name"] = whole["inputs"][0]["path"] = whole["run"]["platform"] = HOSTILE
    whole["stages"] = {HOSTILE: whole["stages"]["prepare"] | {"cmd": HOSTILE, "deps": {HOSTILE: "1" * 32}}}
    whole["warnings"] = [{"name": "leak", "column": HOSTILE, "text": HOSTILE}]
    whole["run"]["git"]["remote"] = "javascript:alert(3)"
    whole["metrics"] = {HOSTILE: whole["metrics"]["balanced_accuracy"]}
    release(to_json(whole), "v1.0.0", CLASSES | {"importance.csv": f'feature,importance,spread\n"{HOSTILE}",1,1\n'})
    run(everywhere=False, output=PAGE)
    page = show()

    assert page.locator("script, img, iframe").count() == 1  # the page's own
    assert HOSTILE.replace("\u202e", "?") in page.locator("main").text_content()
    assert "\u202e" not in PAGE.read_text(encoding="utf-8")
    assert "default-src 'none'" in page.locator("meta[http-equiv]").get_attribute("content")


def test_nothing_released_yet_shows_what_is_there_and_without_any_version_says_what_makes_one(
    release: Callable[..., str], repository: Project, show: Callable[..., Page]
) -> None:
    with pytest.raises(Problem, match=r"^no version yet; dvc repro makes one$"):
        run(everywhere=False, output=PAGE)
    release(to_json(manifest("v1.0.0", 0.8, CLASSES)), "v1.0.0", CLASSES, tag=False)
    told = run(everywhere=False, output=PAGE)

    assert (told.facts["released"], told.facts["versions"]) == (False, ["v1.0.0"])
    assert "no version is released yet, so this shows what is in models/" in show().locator("header").text_content()
    assert repository.run("git log --oneline").stdout.count("\n") == 1


def test_all_are_also_experiments_and_a_version_of_schema_1(
    release: Callable[..., str], repository: Project, show: Callable[..., Page]
) -> None:
    old = (Path(__file__).parent.parent / "record/manifest_schema_1.json").read_bytes()
    release(old, "v1.0.0", CLASSES)
    commit = release(to_json(manifest("v1.1.0", 0.9, CLASSES)), "v1.1.0", CLASSES, tag=False)
    repository.run(f"git update-ref refs/exps/aa/bb/oak {commit}")

    assert run(everywhere=False, output=PAGE).facts["versions"] == ["v1.0.0"]
    assert sorted(run(everywhere=True, output=PAGE).facts["versions"]) == ["v1.0.0", "v1.1.0"]
    page = show()
    assert page.locator("#v1\\.1\\.0 .tag").text_content() == "oak"
    assert "not at hand" in page.locator("#v1\\.0\\.0").text_content()
    assert not page.locator("#v1\\.0\\.0 p.bad").count()


def test_who_signed_is_said_and_checked_with_a_key_that_is_named(
    three: list[str], tmp_path: Path, show: Callable[..., Page]
) -> None:
    from commands.web.history import package_of

    key = write_key(tmp_path, "team")
    manifest = parse_manifest(Path("models/v1.2.0/manifest.json").read_bytes())
    private = read_private_key(key)
    Path("models/v1.2.0/model.sig").write_bytes(sign("v1.2.0", package_of(manifest, None), private))
    fingerprint = PublicKey("", private.public_key()).fingerprint

    assert three
    for keys, said in (([], "not checked"), ([tmp_path / "team.pub"], "(checked)")):
        run(everywhere=False, output=PAGE, keys=keys)
        words = show().locator("#v1\\.2\\.0 dl").text_content()
        assert f"by the key {fingerprint[:8]}" in words
        assert said in words


@pytest.mark.usefixtures("three")
def test_charts_of_other_data_than_the_manifest_records_are_not_shown(
    repository: Project, show: Callable[..., Page]
) -> None:
    changed = json.loads(Path("models/v1.2.0/manifest.json").read_bytes())
    changed["stages"]["prepare"]["outs"]["reports/plots"] = f"{'0' * 32}.dir"
    Path("models/v1.2.0/manifest.json").write_bytes(to_json(changed))
    repository.commit("Record other charts")
    repository.run("git tag -fam Again penguins@v1.2.0")
    run(everywhere=False, output=PAGE)

    assert not show().locator("#v1\\.2\\.0 figure").count()


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b"),
        ("git@github.com:a/b.git", "https://github.com/a/b"),
        ("ssh://git@git.example.org:2222/a/b", "https://git.example.org/a/b"),
        ("http://localhost:3000/a/b/", "http://localhost:3000/a/b"),
        *(
            (bad, None)
            for bad in ("javascript:alert(1)", 'https://a/b"onclick=x', "https://a/../b", "file:///a", "", None)
        ),
    ],
)
def test_only_a_known_form_of_remote_is_linked(remote: str | None, page: str | None) -> None:
    assert web_address(remote) == page


def test_a_commit_is_linked_as_its_host_spells_it() -> None:
    sha = "a" * 40

    assert commit_address("https://gitlab.com/a/b", sha) == f"https://gitlab.com/a/b/-/commit/{sha}"
    assert commit_address("https://bitbucket.org/a/b", sha) == f"https://bitbucket.org/a/b/commits/{sha}"
    assert commit_address("https://codeberg.org/a/b", sha) == f"https://codeberg.org/a/b/commit/{sha}"
    assert commit_address("https://codeberg.org/a/b", "x") is None


def test_boxes_of_a_graph_never_overlap_and_every_edge_goes_down() -> None:
    nodes = [("stage", f"s{k}") for k in range(9)]
    graph = {("input", "0"): []} | {
        node: [("input", "0"), *nodes[max(0, k - 3) : k : 2]] for k, node in enumerate(nodes)
    }
    picture = chain.draw(graph, {})
    for k, one in enumerate(picture.boxes):
        for other in picture.boxes[k + 1 :]:
            assert abs(one.x - other.x) >= chain.WIDTH or abs(one.y - other.y) >= chain.HEIGHT
    assert len(picture.edges) == sum(map(len, graph.values()))
    for edge in picture.edges:
        ys = [float(y) for y in re.findall(r"[\d.]+(?=[CV]|$)", edge)]
        assert ys == sorted(ys)


def test_charts_of_odd_numbers_stay_in_their_box() -> None:
    shown = charts.scatter([(-1.7e308, 1.0), (1.7e308, 1.0)])

    assert shown["path"] == "M0 50h0M100 50h0"
    assert charts.points_of([{"x": "nan", "y": "1"}, {"x": "1"}, {"x": "1", "y": "2"}], "x", "y") == [(1, 2)]
    assert charts.read_rows(b"\xff") == []
    assert charts.histogram([0, 0]) is None
    assert charts.histogram([1, 2]) == "M0 20V10h40V0h40V20z"
    assert charts.confusion(charts.read_rows(b"actual,predicted,rows\na,a,x\n"))["cells"][0].rows == 0
