import pytest

from include.data.sources.buckets import BucketFolder
from include.errors import ArtifactNotFoundError, ServiceUnavailableError


def test_a_bucket_that_is_not_there_or_does_not_answer_is_no_empty_folder(s3_bucket, monkeypatch):
    with pytest.raises(ArtifactNotFoundError):
        BucketFolder(f"{s3_bucket}-nowhere").list_files()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("include.storage.buckets.RETRIES", 0)
    with pytest.raises(ServiceUnavailableError):
        BucketFolder(f"{s3_bucket}/elsewhere").find_time("1.png")
