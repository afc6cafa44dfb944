"""Which requests a canary decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from routec.runtime.records import Record
from routec.runtime.service import PolicyService

_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Canary:
    """A policy that decides a share of the requests.

    Attributes:
        service: decides them.
        share: above 0 to 1.
    """

    service: PolicyService
    share: float

    def chosen(self, records: Sequence[Record], active: PolicyService) -> list[int]:
        """Indices of the records that are its own, rising.

        A record belongs to it by the hash of its key, or without one of its request id, so that
        whoever asks again meets the same policy; a larger share has all of a smaller one, and
        another program other requests.

        Args:
            records: a batch.
            active: reads the ids; what it cannot read is not chosen.
        """
        chosen = []
        salt = self.service.policy_hash.encode()[-32:]
        bound = int(self.share * _WHOLE)
        for at, record in enumerate(records):
            key = record.key
            if key is None:
                id = active.request_id(record)
                if id is None:
                    continue
                key = id.encode("utf-8", "surrogatepass")
            if int.from_bytes(blake2b(key, digest_size=8, key=salt).digest(), "big") < bound:
                chosen.append(at)
        return chosen
