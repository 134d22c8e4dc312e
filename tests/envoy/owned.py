"""A fixed set of claims for the corpus, of owners that serve, that are quarantined, that do not serve."""

from __future__ import annotations

from typing import Final

from envoy.classification import BUCKETS, ClassificationKey
from envoy.questions import bucket_of
from topology.claims.model import Bucket, BucketType

R, ORG, REDIRECT = BucketType.ROUTES, BucketType.ORGANIZATION_IDS, BucketType.REDIRECT_ROUTES
OWNED: Final = {
    Bucket(R, "acme"): 3,
    Bucket(R, "sub"): 2,  # quarantined
    Bucket(R, "deep"): 4,  # PROVISIONING: no request reaches it by what it owns
    Bucket(REDIRECT, "deep"): 5,  # and so the next key of the chain is tried
    Bucket(R, "ACME"): 7,  # drained
    Bucket(REDIRECT, "site"): 12,
    Bucket(R, "v3"): 99,  # a cell that is not there
    Bucket(R, "caf%C3%A9"): 111,  # as it is written in paths
    Bucket(R, "userss"): 6,
    Bucket(R, "a.b"): 1,
    Bucket(ORG, "1"): 3,
    Bucket(ORG, "2"): 4,
    Bucket(ORG, "36"): 2,
    Bucket(ORG, "7"): 11,
    Bucket(BucketType.PAGES_UNIQUE_DOMAINS, "acme.pages.test"): 3,
    Bucket(BucketType.PAGES_DOMAINS, "www.customer.test"): 1,
}


def owner_of(key: ClassificationKey) -> int | None:
    """Look a claim up, as the server does."""
    bucket = bucket_of(BUCKETS[key.type], key.value)
    return OWNED.get(bucket) if bucket else None
