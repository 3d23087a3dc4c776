import os

import obstore
import pytest

from include.data.sources.buckets import BucketFolder
from include.errors import ArtifactNotFoundError, ServiceUnavailableError
from include.storage import open_bucket


def test_a_process_that_was_forked_off_opens_its_own_connection(s3_bucket):
    obstore.put(open_bucket(s3_bucket), "1.png", b"one")
    folder = BucketFolder(s3_bucket)
    assert folder.read("1.png", 10) == b"one"
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, folder.read("1.png", 10))
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert os.read(reading, 10) == b"one"


def test_a_bucket_that_is_not_there_or_does_not_answer_is_no_empty_folder(s3_bucket, monkeypatch):
    with pytest.raises(ArtifactNotFoundError):
        BucketFolder(f"{s3_bucket}-nowhere").list_files()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("include.storage.buckets.RETRIES", 0)
    with pytest.raises(ServiceUnavailableError):
        BucketFolder(f"{s3_bucket}/elsewhere").find_time("1.png")
