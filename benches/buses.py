"""Measures for BENCHMARKS.md, "Buses". Called by buses.sh; prints a Markdown table of each section."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KAFKA = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "sporekit/kafka-4.1.1")
ROUNDS = int(os.environ.get("ROUNDS", "60"))
MANY = int(os.environ.get("MANY", "5000"))
SEND = shutil.which("spore-send") or sys.exit("put spore-send (a release build) first on PATH")
DIR = tempfile.mkdtemp(prefix="sporekit-buses-")
PASSWORD = "bench"
RUNNING = []


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(args, ready, **env):
    child = subprocess.Popen(args, cwd=DIR, env={**os.environ, "HOME": DIR, **env}, stdin=subprocess.DEVNULL,
                             stdout=open(f"{DIR}/log", "a"), stderr=subprocess.STDOUT, start_new_session=True)
    RUNNING.append(child)
    for _ in range(3000):
        try:
            socket.create_connection(("127.0.0.1", ready)).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"{args[0]} did not start: see {DIR}/log")


def stop():
    for child in reversed(RUNNING):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
    shutil.rmtree(DIR, ignore_errors=True)


def once(args, env):
    begin = time.perf_counter()
    done = subprocess.run(args, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = (time.perf_counter() - begin) * 1000
    if done.returncode:
        sys.exit(f"{args}: {done.returncode}: {done.stderr.decode()}")
    return took, done.stdout


def pairs(ours, theirs, env, rounds=ROUNDS):
    """Interleaved runs of both: medians in milliseconds."""
    a, b = [], []
    for args in (ours, theirs) * 3:
        once(args, env)
    for _ in range(rounds):
        a.append(once(ours, env)[0])
        b.append(once(theirs, env)[0])
    return statistics.median(a), statistics.median(b)


def main():
    env = {**os.environ, "SPORE_ROOT": f"{DIR}/app.swarm", "BUS_PASSWORD": PASSWORD}
    env.pop("SPORE_BUS", None)
    body = "x" * 1024
    rows, rates = [], []
    lines = "".join('{"n":%d,"pad":"%s"}\n' % (n, "x" * 1000) for n in range(MANY)).encode()

    def many(bus, url, native, fed=None):
        """MANY messages of 1 KiB by one process, all confirmed: ours (from the outbox on disk) and the native one. The
        mailbox is there before, as is what the native one writes to."""
        once([SEND, "--as", "bench", "--to", "many", "--create", "--via", url, "--require-bus", "-m", body], env)

        def mine():
            begin = time.perf_counter()
            subprocess.run([SEND, "--as", "bench", "--to", "many", "--batch", "--max", str(1 << 28), "--via", url],
                           input=lines, env=env, stdout=subprocess.DEVNULL, check=True)
            for _ in range(100):
                if not subprocess.run(["spore-relay", "drain", "--via", url], env=env, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL).returncode:
                    return MANY / (time.perf_counter() - begin)
            sys.exit(f"{bus}: never drained")

        rate = statistics.median(mine() for _ in range(3))
        theirs = statistics.median(MANY / once(native, env)[0] * 1000 for _ in range(3))
        rates.append((bus, rate, theirs))

    def ours(url):
        return [SEND, "--as", "bench", "--to", "box", "--create", "--via", url, "-m", body, "--require-bus"]

    p = port()
    start(["redis-server", "--bind", "127.0.0.1", "--port", str(p), "--dir", DIR, "--appendonly", "yes", "--save", "",
           "--requirepass", PASSWORD], p)
    redis = f"redis://:env:BUS_PASSWORD@127.0.0.1:{p}"
    native = ["redis-cli", "-p", str(p), "--no-auth-warning", "-a", PASSWORD, "XADD", "native", "*", "spore", body]
    rows.append(("Redis", "redis-cli XADD", *pairs(ours(redis), native, env)))
    many("Redis, redis-benchmark -P 100", redis, ["redis-benchmark", "-p", str(p), "-a", PASSWORD, "-c", "1", "-P", "100", "-n",
                                                 str(MANY), "-q", "XADD", "native", "*", "spore", body])

    p = port()
    with open(f"{DIR}/nats.conf", "w") as f:
        f.write(f'host: 127.0.0.1\nport: {p}\njetstream {{ store_dir: "{DIR}/nats" }}\n'
                f"authorization {{ user: bench, password: {PASSWORD} }}\n")
    start(["nats-server", "-c", f"{DIR}/nats.conf"], p)
    cc("nats_publish", "-lnats")
    url = f"nats://bench:env:BUS_PASSWORD@127.0.0.1:{p}"
    once(ours(url), env)
    native = [f"{DIR}/nats_publish", f"nats://127.0.0.1:{p}", "bench", PASSWORD, "spore.m.native"]
    rows.append(("NATS JetStream", "nats.c", *pairs(ours(url), native, env)))
    many("NATS JetStream, nats.c", url, [*native, str(MANY)])

    p, dist, epmd = port(), port(), port()
    with open(f"{DIR}/rabbitmq.conf", "w") as f:
        f.write(f"listeners.tcp.1 = 127.0.0.1:{p}\ndefault_user = bench\ndefault_pass = {PASSWORD}\n"
                "disk_free_limit.absolute = 1MB\n")
    with open(f"{DIR}/plugins", "w") as f:
        f.write("[].\n")
    start(["epmd", "-address", "127.0.0.1", "-port", str(epmd)], epmd)
    start(["/usr/lib/rabbitmq/bin/rabbitmq-server"], p, RABBITMQ_NODENAME=f"b{p}@localhost",
          RABBITMQ_MNESIA_BASE=f"{DIR}/mnesia", RABBITMQ_LOG_BASE=f"{DIR}/rlog", RABBITMQ_CONFIG_FILE=f"{DIR}/rabbitmq",
          RABBITMQ_ENABLED_PLUGINS_FILE=f"{DIR}/plugins", RABBITMQ_FEATURE_FLAGS_FILE=f"{DIR}/flags",
          RABBITMQ_DIST_PORT=str(dist), RABBITMQ_CONF_ENV_FILE="/dev/null", ERL_EPMD_PORT=str(epmd),
          ERL_EPMD_ADDRESS="127.0.0.1",
          RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}")
    cc("rabbit_publish", "-lrabbitmq")
    url = f"amqp://bench:env:BUS_PASSWORD@127.0.0.1:{p}"
    patient(ours(url), env)
    native = [f"{DIR}/rabbit_publish", str(p), "bench", PASSWORD, "spore.m.box"]
    rows.append(("RabbitMQ quorum", "librabbitmq, confirmed", *pairs(ours(url), native, env)))
    many("RabbitMQ quorum, librabbitmq confirmed", url, [*native, str(MANY)])

    p, own = port(), port()
    with open(f"{DIR}/kafka.properties", "w") as f:
        f.write(f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{own}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{p},CONTROLLER://127.0.0.1:{own}\n"
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{p}\ncontroller.listener.names=CONTROLLER\n"
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                f"log.dirs={DIR}/kafka\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
                "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
                "share.coordinator.state.topic.replication.factor=1\nauto.create.topics.enable=false\n")
    java = ["java", "-Xmx512m", "-cp", f"{KAFKA}/libs/*"]
    subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c",
                    f"{DIR}/kafka.properties"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start([*java, "kafka.Kafka", f"{DIR}/kafka.properties"], p)
    url = f"kafka://127.0.0.1:{p}"
    patient(ours(url), env)
    with open(f"{DIR}/body", "w") as f:
        f.write(body)
    native = ["kcat", "-P", "-b", f"127.0.0.1:{p}", "-t", "spore.m.box", "-X", "acks=all", "-X", "linger.ms=0",
              f"{DIR}/body"]
    rows.append(("Kafka", "kcat, linger 0", *pairs(ours(url), native, env)))
    with open(f"{DIR}/lines", "wb") as f:
        f.write(lines)
    many("Kafka, kcat", url, ["kcat", "-P", "-b", f"127.0.0.1:{p}", "-t", "spore.m.box", "-X", "acks=all", "-l", f"{DIR}/lines"])

    def met(value, target, most=True, unit=''):
        holds = value <= target if most else value >= target
        return f"{'at most' if most else 'at least'} {target}{unit}, {'met' if holds else '**not met**'}"

    print("| one message, whole process, confirmed | native, ms | ours, ms | ours / native | target |\n|---|---|---|---|---|")
    for bus, client, mine, theirs in rows:
        print(f"| {bus}, {client} | {theirs:.2f} | {mine:.2f} | {mine / theirs:.2f} | {met(mine / theirs, 1.1)} |")

    print(f"\n| {MANY} messages of 1 KiB by one process, confirmed | native, messages/s | ours, messages/s | ours / native | target |"
          "\n|---|---|---|---|---|")
    for bus, mine, theirs in rates:
        print(f"| {bus} | {theirs:.0f} | {mine:.0f} | {mine / theirs:.2f} | {met(mine / theirs, 0.9, False)} |")

    print("\n| beside | it, ms | this, ms | ratio | target |\n|---|---|---|---|---|")
    files = [SEND, "--as", "bench", "--to", "plain", "--create", "-m", body]
    dead = [SEND, "--as", "bench", "--to", "dead", "--create", "--via", "redis://127.0.0.1:1", "-m", body]
    mine, plain = pairs(dead, files, env, ROUNDS * 3)
    print(f"| sends a second: bus dead / files | {plain:.2f} | {mine:.2f} | {plain / mine:.2f} | {met(plain / mine, 0.9, False)} |")

    # A journal that is no directory: the figure fails at its first system call, the send goes on.
    other = {**env, "SPORE_ROOT": f"{DIR}/silent.swarm"}
    once(files, other)
    shutil.rmtree(f"{DIR}/silent.swarm/journal")
    open(f"{DIR}/silent.swarm/journal", "w").close()
    noted, silent = [], []
    for _ in range(ROUNDS * 5):
        noted.append(once(files, env)[0])
        silent.append(once(files, other)[0])
    noted, silent = (statistics.quantiles(times, n=4)[0] for times in (noted, silent))
    cost = noted / silent - 1
    print(f"| a figure: send with / without (lower quartiles) | {silent:.3f} | {noted:.3f} | {100 * cost:+.1f} % | {met(round(100 * cost, 1), 2, unit=' %')} |")

    # protocol-parse is of the same build, and no client is linked into it.
    bare = os.environ.get("BARE") or shutil.which("protocol-parse")
    if bare:
        both, none = pairs([SEND, "--version"], [bare, "--version"], env, 300)
        size = [os.path.getsize(path) / 1e6 for path in (SEND, bare)]
        print(f"| start-up (`--version`): four clients ({size[0]:.1f} MB) / none ({size[1]:.1f} MB) | {none:.2f} | {both:.2f} | "
              f"{both / none:.2f} | {met(both / none, 1.3)} |")


def cc(name, library):
    subprocess.run(["gcc", "-O2", "-o", f"{DIR}/{name}", f"{HERE}/{name}.c", library], check=True)


def patient(args, env):
    for _ in range(60):
        if subprocess.run(args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.5)
    sys.exit(f"not ready: {args}")


try:
    main()
finally:
    stop()
