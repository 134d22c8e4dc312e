"""Claims as the command line writes them."""

from __future__ import annotations

import click
import pytest

from cellplane.cli.claim_arguments import bucket_message, key_of, name_of, subject_of
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from topology.claims.model import Bucket, BucketType


def test_keys() -> None:
    assert key_of("routes=a=b") == Bucket(BucketType.ROUTES, "a=b")
    for odd in ("routes", "cats=a"):
        with pytest.raises(click.exceptions.Exit):
            key_of(odd)


def test_buckets_and_their_names() -> None:
    bucket = bucket_message("pages_domains", "example.com")
    assert bucket == messages_pb2.Bucket(type=messages_pb2.Bucket.PAGES_DOMAINS, value="example.com")
    assert name_of(messages_pb2.Metadata(bucket=bucket)) == "PAGES_DOMAINS example.com"


def test_subjects() -> None:
    assert subject_of(None) is None
    assert subject_of("User/9") == messages_pb2.Subject(type=messages_pb2.Subject.USER, id=9)
