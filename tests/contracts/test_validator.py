"""The fake and the real validator keep the same promises."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from evergreen.adapters.gx_validator import GxValidator
from tests.contracts.validator import ValidatorContract
from tests.fakes.validator import FakeValidator


class TestFakeValidator(ValidatorContract):
    @pytest.fixture
    def validator(self):
        return FakeValidator()

    def quarantined(self, validator, uri):
        return validator.quarantine[uri]

    def break_store(self, validator):
        validator.unavailable = True


class TestGxValidatorOnADisk(ValidatorContract):
    @pytest.fixture
    def validator(self, tmp_path):
        return GxValidator(str(tmp_path / "store"), {})

    def quarantined(self, validator, uri):
        return pq.read_table(uri, page_checksum_verification=True).to_pylist()

    def break_store(self, validator):
        Path(validator.store_uri).write_text("a file where the folder should be")


class TestGxValidatorOnAnObjectStore(ValidatorContract):
    @pytest.fixture
    def validator(self, tmp_path):
        return GxValidator(f"memory://{tmp_path.name}", {})

    def quarantined(self, validator, uri):
        with fsspec.open(uri) as file:
            return pq.read_table(file, page_checksum_verification=True).to_pylist()

    def break_store(self, validator):
        system = fsspec.filesystem("memory")
        system.pipe_file(f"/{validator.store_uri.removeprefix('memory://')}", b"no folder")
