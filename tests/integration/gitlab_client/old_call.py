"""Classifies as clients did before `claims`: one `claim` in field 4, with stubs of that time.

`python old_call.py ADDRESS CA CERT KEY` prints the address of the cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
from proto import classify_pb2, classify_pb2_grpc
from proto.types.v1 import claim_pb2

address, *files = sys.argv[1:]
ca, cert, key = (Path(each).read_bytes() for each in files)
with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert)) as channel:
    request = classify_pb2.ClassifyRequest(claim=claim_pb2.Claim(route="acme"))
    print(classify_pb2_grpc.ClassifyServiceStub(channel).Classify(request, timeout=10).proxy.address)
