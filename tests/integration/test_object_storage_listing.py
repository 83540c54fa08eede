"""A listing never decides what is there, foreign objects are left alone, of many writers one wins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from evergreen.adapters.file_store import SmallFiles
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import ArtefactDamaged
from evergreen.objects import Objects, put_if_absent
from evergreen.quarantine import Folder
from tests.contracts.data_source import MARCH, data, rows
from tests.contracts.prediction_log import START, batches, hours, logged
from tests.contracts.snapshot_store import batches as snapshot_batches
from tests.integration.s3_proxy import Answer, s3_proxy

EMPTY = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>0</KeyCount>'
    "<IsTruncated>false</IsTruncated></ListBucketResult>"
)


def keys(bucket) -> list[str]:
    found = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return [entry["Key"] for entry in found]


def put(bucket, key: str, content: bytes = b"foreign") -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content)


def listing(*names: str) -> str:
    parts = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names)
    return EMPTY.replace("<KeyCount>0", f"{parts}<KeyCount>{len(names)}")


def test_a_listing_that_shows_nothing_hides_no_row(s3_bucket):
    with s3_proxy(s3_bucket.options["endpoint_url"]) as proxy:
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        log = ParquetLog(f"{s3_bucket.url}/log", options)
        store = ParquetStore(f"{s3_bucket.url}/lake", options)
        proxy.rule = lambda asked, forward: (
            Answer(200, EMPTY.encode()) if "list-type=2" in asked.path else forward()
        )
        kept = store.write("m", MARCH, snapshot_batches(rows(100)), data())
        assert store.write("m", MARCH, snapshot_batches(rows(100)), data()) == kept
        assert len(store.read(kept, MARCH, "at")) == 100
        for version in (1, 2):
            new = logged(hours(0, 72), version=version)
            log.replace("m", hours(0, 72), batches(new), "at")
        log.replace("m", hours(12, 36), iter(()), "at")
        read = log.rows("m", "at").read(hours(0, 72))
        assert sum(map(len, read)) == 48 * 4


def test_names_of_a_listing_that_are_no_days_of_ours_are_left_out(s3_bucket):
    odd = ("../../x/", "/etc/", "log/m/day=2013-04-01/", "log/m/day=../", "log/m/day=20130402/")
    odd += ("log/m/day=2013-W14-3/", "other/m/day=2013-04-04/", "log/m/day=2013-04-05/deeper/")
    with s3_proxy(s3_bucket.options["endpoint_url"]) as proxy:
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        ParquetLog(f"{s3_bucket.url}/log", options).replace(
            "m", hours(0, 24), batches(logged(hours(0, 24))), "at"
        )
        proxy.rule = lambda asked, forward: (
            Answer(200, listing(*odd).encode()) if "list-type=2" in asked.path else forward()
        )
        whole = ParquetLog(f"{s3_bucket.url}/log", options).rows("m", "at")
        proxy.asked.clear()
        assert sum(map(len, whole.read(hours(0, 24 * 365)))) == 24 * 4
        assert whole.newest(hours(0, 24 * 365).end) == START + timedelta(hours=23.75)
        assert {one.path.split("?")[0].partition("day%3D")[2] for one in proxy.asked} <= {
            "",
            "2013-04-01/rows.parquet",
        }


def test_days_on_many_pages_of_a_listing_are_all_found(s3_bucket, monkeypatch):
    monkeypatch.setattr("moto.settings.get_s3_default_max_keys", lambda: 10)  # 1,000 in earnest
    for number in range(35):
        put(s3_bucket, f"log/m/day={date(2013, 1, 1) + timedelta(days=number)}/rows.parquet", b"")
    with s3_proxy(s3_bucket.options["endpoint_url"]) as proxy:
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        days = Objects(f"{s3_bucket.url}/log/m", options).names()
        assert len(proxy.asked) == 4
    assert len(days) == 35
    assert days[-1] == "day=2013-02-04"


def test_foreign_objects_are_left_alone(s3_bucket):
    foreign = ("lake/snapshots/m/notes.txt", "log/m/day=2013-04-01/_SUCCESS", "log/m/day=x/rows.parquet")
    for key in foreign:
        put(s3_bucket, key)
    put(s3_bucket, "log/m/day=2013-04-02/rows.parquet/below")
    log = ParquetLog(f"{s3_bucket.url}/log", s3_bucket.options)
    log.replace("m", hours(0, 72), batches(logged(hours(0, 72))), "at")
    assert sum(map(len, log.rows("m", "at").read(hours(0, 72)))) == 72 * 4
    assert set(foreign) <= set(keys(s3_bucket))


def test_of_twenty_writers_at_once_all_return_one_snapshot(s3_bucket):
    start = threading.Barrier(20)

    def write(_number: int):
        store = ParquetStore(f"{s3_bucket.url}/lake", s3_bucket.options)
        start.wait()
        return store.write("m", MARCH, snapshot_batches(rows(100)), data())

    with ThreadPoolExecutor(20) as pool:
        kept = set(map(str, pool.map(write, range(20))))
    assert len(kept) == 1
    assert len(keys(s3_bucket)) == 2


def test_what_is_published_once_is_never_written_over(s3_bucket, tmp_path):
    for uri in (s3_bucket.url, str(tmp_path)):
        assert put_if_absent(f"{uri}/a/b", b"first", s3_bucket.options)
        assert not put_if_absent(f"{uri}/a/b", b"second", s3_bucket.options)
        files = SmallFiles(uri, s3_bucket.options)
        stored = files.put("watch/m", "x.json", b"counts")
        place = stored.uri.removeprefix(f"{uri}/")
        if uri == s3_bucket.url:
            put(s3_bucket, place)
        else:
            (tmp_path / place).write_bytes(b"foreign")
        with pytest.raises(ArtefactDamaged, match="not what was stored"):
            files.put("watch/m", "x.json", b"counts")
    assert (tmp_path / "a" / "b").read_bytes() == b"first"
    assert Objects(f"{s3_bucket.url}/a", s3_bucket.options).read("b") == b"first"


def test_an_earlier_report_stands_beside_a_later_one(s3_bucket, tmp_path):
    for uri in (s3_bucket.url, str(tmp_path)):
        folder = Folder(uri, s3_bucket.options, "quarantine/m/a/b")
        first, second = (folder.write("report.html", page) for page in (b"first", b"second"))
        assert first != second
        assert folder.write("report.html", b"second") == second
        assert folder.write("report.html", b"first") == first


def test_a_day_that_another_wrote_meanwhile_is_not_written_over(s3_bucket):
    """The store itself refuses, between our last look and the write."""
    with s3_proxy(s3_bucket.options["endpoint_url"]) as proxy:
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        ours = ParquetLog(f"{s3_bucket.url}/log", options)
        theirs = ParquetLog(f"{s3_bucket.url}/log", s3_bucket.options)
        for before in (False, True):
            model = f"m{before:d}"
            if before:
                theirs.replace(model, hours(20, 24), batches(logged(hours(20, 24))), "at")

            def meanwhile(asked, forward, model=model):
                puts = sum(one.method == "PUT" for one in proxy.asked)
                if asked.method == "PUT" and puts == 1:
                    theirs.replace(model, hours(6, 12), batches(logged(hours(6, 12))), "at")
                return forward()

            proxy.asked.clear()
            proxy.rule = meanwhile
            ours.replace(model, hours(0, 6), batches(logged(hours(0, 6))), "at")
            rows_there = sum(map(len, theirs.rows(model, "at").read(hours(0, 24))))
            assert rows_there == (12 + 4 * before) * 4


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//b", "./a", "a\0b", "a\nb", ""])
def test_a_name_that_leads_elsewhere_is_refused(s3_bucket, name):
    with pytest.raises(ValueError, match="not the name of an object"):
        Objects(s3_bucket.url, s3_bucket.options).read(name)
