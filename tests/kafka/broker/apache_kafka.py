"""One Apache Kafka broker (KRaft) on loopback, for tests and benchmarks.

Its jars come from Maven Central once, into ``$ROUTEC_CACHE/kafka`` or
``.cache/kafka`` at the repository's root; it needs Java 17 and Maven.

    python tests/kafka/broker/apache_kafka.py fetch   # only fetch
    python tests/kafka/broker/apache_kafka.py run     # run until Ctrl-C, print its address
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

POM = Path(__file__).with_name("pom.xml")
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
LEAST_JAVA = 17
STARTED = "Kafka Server started"
START_SECONDS = 90.0
STOP_SECONDS = 20.0


class BrokerError(Exception):
    """Apache Kafka cannot be fetched or started; the message says why and what to do."""


def cache_folder() -> Path:
    """Where the jars are kept."""
    root = os.environ.get("ROUTEC_CACHE")
    base = Path(root) if root else Path(__file__).resolve().parents[3] / ".cache"
    return base / "kafka"


def fetch() -> Path:
    """The folder of the jars, fetched unless it is there already.

    Raises:
        BrokerError: Maven or the network is missing.
    """
    pom = POM.read_bytes()
    folder = cache_folder() / f"jars-{hashlib.sha256(pom).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    maven = _tool("mvn", "Maven", "apt-get install maven")
    _java()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
        jars = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", str(POM), COPY_GOAL]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode != 0:
            raise BrokerError(
                "Maven cannot fetch Apache Kafka from Maven Central:\n"
                + (done.stdout + done.stderr).strip()[-2000:]
            )
        # Only a complete set of jars ever gets the final name.
        with contextlib.suppress(FileExistsError):
            jars.rename(folder)
    return folder


def _tool(name: str, title: str, install: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokerError(f"{title} is needed to run Apache Kafka; install it with `{install}`")
    return found


def _java() -> str:
    java = _tool("java", f"Java {LEAST_JAVA}", f"apt-get install openjdk-{LEAST_JAVA}-jre-headless")
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', text)
    if match is None or int(match[1]) < LEAST_JAVA:
        first = text.partition("\n")[0] or "no version"
        raise BrokerError(f"Apache Kafka needs Java {LEAST_JAVA} or later; `java` is {first}")
    return java


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ApacheKafka:
    """A broker in a process of its own, with data that outlives a restart but not the context.

    Args:
        heap: its memory as Java writes it.
        quick: whether its code is compiled quickly rather than well: it starts sooner.

    Attributes:
        bootstrap: its address, ``127.0.0.1:PORT``; the same after a restart.
        log: what it printed.
    """

    def __init__(self, *, heap: str = "256m", quick: bool = True) -> None:
        self._heap = heap
        self._quick = quick
        self._jars = fetch()
        self._java = _java()
        self._folder = Path(tempfile.mkdtemp(prefix="routec-kafka-"))
        self._port, self._controller = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"127.0.0.1:{self._port}"
        self.log = self._folder / "broker.log"
        self._properties = self._folder / "server.properties"
        self._properties.write_text("\n".join(self._settings()) + "\n")
        self._format()

    def _settings(self) -> Iterator[str]:
        yield "process.roles=broker,controller"
        yield "node.id=1"
        yield f"controller.quorum.voters=1@127.0.0.1:{self._controller}"
        yield (
            f"listeners=PLAINTEXT://127.0.0.1:{self._port},"
            f"CONTROLLER://127.0.0.1:{self._controller}"
        )
        yield f"advertised.listeners=PLAINTEXT://127.0.0.1:{self._port}"
        yield "controller.listener.names=CONTROLLER"
        yield "inter.broker.listener.name=PLAINTEXT"
        yield "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
        yield f"log.dirs={self._folder / 'data'}"
        # One broker: everything is kept once, and the inner topics are small.
        yield "offsets.topic.replication.factor=1"
        yield "offsets.topic.num.partitions=1"
        yield "transaction.state.log.replication.factor=1"
        yield "transaction.state.log.min.isr=1"
        yield "transaction.state.log.num.partitions=1"
        yield "share.coordinator.state.topic.replication.factor=1"
        yield "share.coordinator.state.topic.min.isr=1"
        yield "share.coordinator.state.topic.num.partitions=1"
        # Tests must not wait for members that never come.
        yield "group.initial.rebalance.delay.ms=0"
        yield "group.min.session.timeout.ms=0"
        yield "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"
        yield "auto.create.topics.enable=false"
        # The default reserves 128 MiB of a small heap.
        yield "log.cleaner.dedupe.buffer.size=2097152"

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]
        command += ["-c", str(self._properties)]
        done = subprocess.run(
            self._command("-Xmx128m", *command), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BrokerError(
                f"cannot format the broker's storage:\n{(done.stdout + done.stderr)[-2000:]}"
            )

    def _command(self, *arguments: str) -> list[str]:
        options = ["-XX:+UseSerialGC", *(["-XX:TieredStopAtLevel=1"] if self._quick else [])]
        return [self._java, *options, "-cp", f"{self._jars}/*", *arguments]

    def start(self) -> None:
        """Start the broker and wait until it serves.

        Raises:
            BrokerError: it ends or does not get ready in time.
        """
        if self._process is not None:
            raise BrokerError("the broker runs already")
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(
                    f"-Xms{self._heap}", f"-Xmx{self._heap}", "kafka.Kafka", str(self._properties)
                ),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it in order
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[begin:].decode("utf-8", "replace")
            if STARTED in text:
                return
            if self._process.poll() is not None:
                self._process = None
                raise BrokerError(f"Apache Kafka ended while starting:\n{text[-3000:]}")
            time.sleep(0.1)
        self.kill()
        raise BrokerError(f"Apache Kafka is not ready after {START_SECONDS:g} s; see {self.log}")

    def stop(self) -> None:
        """Stop the broker in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the broker as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop in order and start again, with the same address and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the broker and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> ApacheKafka:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def main() -> int:
    """Fetch or run, from the command line."""
    parser = argparse.ArgumentParser(description="Apache Kafka on loopback")
    parser.add_argument("action", choices=["fetch", "run"])
    action = parser.parse_args().action
    try:
        if action == "fetch":
            print(fetch())
            return 0
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ApacheKafka() as broker, contextlib.suppress(KeyboardInterrupt):
            print(broker.bootstrap, flush=True)
            signal.pause()
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
