"""Run seeds of the chaos suite on an Apache Kafka of its own, and report on them.

python -m tests.kafka.chaos --seeds 200 --from 0
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from tests.kafka.broker.apache_kafka import ApacheKafka, BrokerError
from tests.kafka.chaos.campaign import run_campaign
from tests.kafka.chaos.report import PUBLISHED, Book, write_page
from tests.kafka.chaos.seed import Result


def main() -> int:
    """The command line; the exit status is 1 when a seed found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one (0)")
    parser.add_argument("--side-by-side", type=int, default=4, help="at the same time (4)")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    parser.add_argument("--page", type=Path, help="page whose table is renewed when all are done")
    parser.add_argument("--again", action="store_true", help="run seeds that are done already, too")
    asked = parser.parse_args()
    # What clients say of a broker that is killed on purpose.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = range(asked.first, asked.first + asked.seeds)
    book = Book(asked.out, again=wanted if asked.again else ())
    seeds = [seed for seed in wanted if seed not in book]
    begun = time.monotonic()

    def done(result: Result) -> None:
        book.add(result)
        verdict = ", ".join(f"{n} {kind}" for kind, n in result["problems"].items()) or "well"
        hit = ", ".join(one["kind"] for one in result["fired"]) or "no fault"
        print(f"seed {result['seed']}: {verdict} ({result['seconds']:.1f} s; {hit})", flush=True)
        for said in result["said"]:
            print(f"    {said}", flush=True)

    known = len(wanted) - len(seeds)
    print(f"{len(seeds)} seeds to run, {known} known from before (AGAIN=1, or --again, runs them)")
    if seeds:
        try:
            with ApacheKafka() as broker:
                folder = asked.out.resolve().with_suffix("")
                work = run_campaign(seeds, broker, folder, asked.side_by_side, done)
                asyncio.run(work)
        except BrokerError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        book.took(time.monotonic() - begun, asked.side_by_side, os.getloadavg()[0])
    print(book.table(wanted))
    if asked.page is not None and not write_page(asked.page, book, wanted):
        print(f"{asked.page} is left alone: it tells of seeds 0 to {PUBLISHED[-1]}, all of them")
    return 1 if book.failed(wanted) else 0


if __name__ == "__main__":
    raise SystemExit(main())
